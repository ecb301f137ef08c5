"""One file for each contender: what it is called, what it needs, and one function per operation.

A file is loaded by ``worker.py``, in a Python that may be another one than ours, so it imports nothing of
this package but its neighbours. All contenders store the same record, a person (``_people.py``): an id, a
unique e-mail address, a name, a city with an exact index and an age with a range index. What a contender
cannot do it leaves out.

    NAME        how it is called in the results
    PACKAGES    what pip installs for it, in an environment of its own; [] for that of the benchmark
    SEARCH      True if it needs a server with RediSearch and RedisJSON
    NOTE        what it does less than the others, if anything

    open(port), close()      connect and disconnect
    prepare()                make ready what an empty store needs
    bulk(first, number)      create the persons first, first + 1, ... in one go
    fill(first, number)      the same to fill the store, unmeasured, for who has no bulk
    create(number)           create one person
    get(number)              load one person and read all its fields
    get_many(number)         load the persons 0 to number - 1 by their ids and read all their fields
    find(size)               load all persons of the city of so many and read all their fields
    range_(age)              the same with all who are of that age or a year older
    cached(number)           load one person that was loaded before, out of the memory of the client
    cached_read(number)      the same, and read all its fields
    hold(number)             load a person, to be given to update()
    update(held, number)     change the name of a person that is loaded, and store it
    change(number)           load a person and change all its fields, to be given to save()
    save(changed)            store it
    delete(number)           delete a person, which was not loaded
    own_ids(first, number)   as bulk, with ids that it makes itself

They are coroutine functions, or plain ones, which are run by one task only. Those that read return the fields
of a person as a tuple, or a list of such tuples in any order, which is compared with the right answer.
"""
