"""One file for each contender: what it is called, what it needs, and one function per operation.

A file is loaded by ``worker.py``, in a Python that may be another one than ours, so it imports nothing of
this package. All contenders store the same record, a person: an id, a unique e-mail address, a name, a city
with an exact index and an age with a range index. What a contender cannot do it leaves out.

    NAME        how it is called in the results
    PACKAGES    what pip installs for it, in an environment of its own; [] for that of the benchmark
    SEARCH      True if it needs a server with RediSearch and RedisJSON
    NOTE        what it does less than the others, if anything

    open(port), close()      connect and disconnect
    bulk(first, number)      create the persons first, first + 1, ... in one go
    create(number)           create one person
    get(number)              load one person and read all its fields
    hold(number)             load a person, to be given to update()
    update(held, number)     change the name of a person that is loaded, and store it
    delete(number)           delete a person, which was not loaded

They are coroutine functions, or plain ones, which are run by one task only.
"""
