"""What a model that is created again over an old claim adopts from it. Pure.

The status was deleted with the old object; the claim holds the versions, the quarantine, and the version that served last.
So deleting and applying a manifest does not bring back a version that a person rolled back.
"""

from __future__ import annotations

from datetime import datetime

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Selection
from oneseek_core.dna import CONVERSATIONAL, Dna
from oneseek_core.errors import DnaError
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_operator.conditions import timestamp
from oneseek_operator.versions import states

__all__ = ["adopted"]


def adopted(model: OneSeekModel, report: BaseImportReport, now: datetime) -> OneSeekModelStatus:
    """The status with the versions, quarantine and selection that the base Job found on the claim."""
    status = model.status
    held = {item.dna for item in status.quarantine}
    quarantine = [*status.quarantine, *(item for item in report.quarantine if item.dna not in held)]
    found_there = [
        item.model_copy(update={"unattended": _is_unattended(item) or None}) for item in states.adopted(report.versions)
    ]
    known = states.merged(status.versions, found_there)
    found = states.classified(known, quarantine, {})
    status = status.model_copy(
        update={"versions": found, "quarantine": quarantine, "counters": states.counters_for(status.counters, found)}
    )
    answered = next((item for item in found if item.dna == report.current and states.may_answer(item)), None)
    by_itself = model.spec.promotion.mode == "Automatic" and answered == states.newest(found)
    if answered is None or by_itself or status.selection is not None:
        return status
    # A model never promotes an adopted version automatically: a person may have rolled it back. A person may promote it.
    highest = (status.counters.major, status.counters.micro)
    above = states.number(answered.dna) if model.spec.promotion.mode == "Manual" else highest
    selection = Selection(
        verb="promote",
        dna=answered.dna,
        version=model.spec.version,
        major=above[0],
        micro=above[1],
        since=timestamp(now),
    )
    return status.model_copy(update={"selection": selection})


def _is_unattended(version: Version) -> bool:
    """Whether clients asked for the version over HTTP; its tags say so, since its run may be gone."""
    try:
        return CONVERSATIONAL in Dna.parse(version.dna).tags
    except DnaError:
        return False
