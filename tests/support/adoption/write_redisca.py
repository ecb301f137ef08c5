"""Writes 1,000 records by redisca 1.3, to the server on the port that it is given. Runs in an environment of its own."""

import sys
from datetime import datetime

import redis
import redisca

redisca.conf.db = redis.StrictRedis(host="127.0.0.1", port=int(sys.argv[1]))


class Language(redisca.Model):
    name = redisca.String(field="name", unique=True)


@redisca.conf(prefix="usr")
class User(redisca.Model):
    email = redisca.Email(field="eml", unique=True)
    name = redisca.String(field="name", index=True)
    password = redisca.MD5Pass(field="pass")
    created = redisca.DateTime(field="created", index=True)
    age = redisca.Integer(field="age", index=True)
    active = redisca.Bool(field="active")
    lang = redisca.Reference(Language, field="lang", index=True)


for id in ("en", "de", "fr", "pt-br"):
    Language.new(model_id=id).name = f"name of {id}"
Language.save_all()
for n in range(1000):
    user = User.new(model_id=f"u{n}" if n % 10 else redisca.hexid() + str(n))
    user.email = f"user{n}@example.com"
    user.name = f"Name {n % 300}"
    user.password = f"secret {n}"
    user.created = datetime.fromtimestamp(1400000000 + n * 3600)
    user.age = n % 90
    user.active = n % 3 == 0
    if n % 4:
        user.lang = Language(("en", "de", "fr", "pt-br")[n % 4])
User.save_all()
