"""Migrations: steps that change stored data, each applied once per store. See docs/migrations.md."""

from aioredisca.maintenance.migrations.fields import CopyField, DropField, JoinFields, SplitField
from aioredisca.maintenance.migrations.models import DeleteModel, MoveModel
from aioredisca.maintenance.migrations.operations import Fill, Operation, Reindex
from aioredisca.maintenance.migrations.places import At
from aioredisca.maintenance.migrations.records import each
from aioredisca.maintenance.migrations.running import Report, Status, downgrade, status, upgrade
from aioredisca.maintenance.migrations.walking import Step
from aioredisca.maintenance.migrations.writing import new, new_auto

__all__ = [
    "At",
    "CopyField",
    "DeleteModel",
    "DropField",
    "Fill",
    "JoinFields",
    "MoveModel",
    "Operation",
    "Reindex",
    "Report",
    "SplitField",
    "Status",
    "Step",
    "downgrade",
    "each",
    "new",
    "new_auto",
    "status",
    "upgrade",
]
