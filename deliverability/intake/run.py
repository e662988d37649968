"""Brings what receivers send back into the store: item by item, and what was done for whoever started it."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError, file_error, reason_of, set_aside, until_lost
from deliverability.core.files import PRIVATE_FOLDER, private
from deliverability.core.mail.reader import Message
from deliverability.core.mail.words import parse_date
from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.core.model.observed import (
    AggregateReport,
    FailureReport,
    FeedbackKind,
    TlsPolicyResult,
    TlsReport,
    Trust,
)
from deliverability.core.model.services import Reporter
from deliverability.core.net.ports import Ports
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.replies import limits
from deliverability.core.replies.outcomes import Outcomes, plain_address
from deliverability.core.store.observations import Batch, ItemState, Observations, ReportRows, Taken
from deliverability.core.store.reports import DAY
from deliverability.core.store.store import HistoryError
from deliverability.intake.imap import NOT_HANDED_OUT, ImapAccess, ImapError, ImapFolder
from deliverability.intake.places import PlaceItem, UnreadPlace, items
from deliverability.intake.readings import FoundEvents, FoundReport, FoundValues, UnusedPart, feedback_in
from deliverability.intake.records import MailProof, ReportNames, ReportTrust, SeenRecords, mail_proof, trust_of
from deliverability.intake.returned import Returned, returned_in

_MOST_PROBLEMS = 1_000


class IntakeTally(Struct):
    """Reports, or results of mails, of one kind and reporter: new ones, ones that were known, messages of the new ones.

    `untrusted`: how many of the new ones are not known to come from who they say.
    """

    new: int = 0
    known: int = 0
    messages: int = 0
    untrusted: int = 0


class IntakeProblem(Struct, frozen=True):
    """What went wrong with something; `lost`: it could not be read or reached at all."""

    name: str
    detail: Detail
    lost: bool = False


class IntakeResult(Struct):
    """What an intake did.

    Attributes:
        items: files and mails looked at.
        seen: of these, read by an earlier intake.
        others: without any report.
        old: reports, results of mails and numbers older than what is kept.
        unproven: by kind, results and numbers that came by mail and prove no answer to ours; they count for nothing.
        tallies: by kind and reporter: as it calls itself; of results, the id of the service or receiver, or empty.
        results: mails by what became of them, of the new ones.
        problems: the first thousand.
        more_problems: how many there were beyond.
        lost: something could not be read or reached.

    """

    items: int = 0
    seen: int = 0
    others: int = 0
    old: int = 0
    unproven: Counter[FeedbackKind] = field(default_factory=Counter)
    tallies: dict[tuple[FeedbackKind, str], IntakeTally] = field(default_factory=lambda: defaultdict(IntakeTally))
    results: Counter[DeliveryResult] = field(default_factory=Counter)
    problems: list[IntakeProblem] = field(default_factory=list)
    more_problems: int = 0
    lost: bool = False

    def problem(self, name: str, detail: Detail, *, lost: bool = False) -> None:
        """Something went wrong."""
        self.lost |= lost
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(IntakeProblem(name, detail, lost))
        else:
            self.more_problems += 1


T = TypeVar("T")

AT_ONCE = 100  # mails of a transaction
_FILES_AT_ONCE = 500
_AGAIN_DAYS = 7  # for so long a mail whose sender could not be verified is looked at again
_EVENTS_AT_ONCE = 5_000
_HELD = 8_000_000  # octets of the files of a transaction
_DONE, _FAILED, _AGAIN = "done", "failed", "again"

CONFLICTING = Code("report-conflicting", ("id",))
DOUBLE = Code("report-double", ("id",))
NO_DOMAIN = Code("feedback-no-domain", ("n",))

TakesEvents = Callable[[Sequence[DeliveryEvent]], None]
"""Takes what became of mails, with the addresses, for a file of them. It is called before the history keeps an event:
where the process dies in between, the event comes once more."""


class IntakeMailbox(Struct, frozen=True):
    """A mailbox to be read.

    Attributes:
        name: as the user calls it.
        access: where it is; fetches the password. Raises InputError.
        done: what becomes of mails that were read: ``keep``, ``delete`` or ``move:FOLDER``.
        failed: of those with a report that cannot be used: ``keep`` or ``move:FOLDER``.
        most: mails a run.

    """

    name: str
    access: Callable[[], ImapAccess]
    done: str = "keep"
    failed: str = "keep"
    most: int = 2000


class IntakePlan(Struct, frozen=True):
    """What is taken in, and how.

    Attributes:
        places: files, folders, globs, ``-``.
        mailboxes: of IMAP servers.
        ports: verify the mails.
        reporters: those that are known.
        authserv: hosts whose Authentication-Results are believed.
        keep_days: how long reports are kept.
        vouched: bare files come from who they say.
        since: reports that ended before that day are left out.
        most: items of each place; None: all.
        set_aside: a folder for copies of what could not be used.
        dry: nothing is kept, marked, moved or copied.
        outcomes: tells what replies mean; None: bounces, complaints, events, logs and numbers are not read.
        domain: whose mail it is, as A-label, where what is read does not tell; empty: nobody said.
        own: our organizational domains: what comes by mail counts where it returns a message that they signed.
        takes_events: also gets each event that is new; None: nobody. Not in a dry run.
        takes_unproven: gets each event that nothing proves, new or not; as above.
        settles: called once all events were given; None: nobody waits for that.

    """

    ports: Ports
    places: Sequence[str] = ()
    mailboxes: Sequence[IntakeMailbox] = ()
    reporters: Mapping[str, Reporter] = field(default_factory=dict)
    authserv: Collection[str] = ()
    keep_days: int = 400
    vouched: bool = False
    since: date | None = None
    most: int | None = None
    set_aside: Path | None = None
    dry: bool = False
    outcomes: Outcomes | None = None
    domain: str = ""
    own: Collection[str] = ()
    takes_events: TakesEvents | None = None
    takes_unproven: TakesEvents | None = None
    settles: Callable[[], None] | None = None


class _Dry(Exception):
    """Nothing of a batch is kept."""


async def take_in(
    plan: IntakePlan,
    store: Observations,
    *,
    stdin: BinaryIO | None = None,
    tick: Callable[[], None] = lambda: None,
) -> IntakeResult:
    """Read all places and mailboxes of a plan into the store; `tick` is called for each item.

    Raises HistoryError; what cannot be read or reached is told in the result.
    """
    run = _Run(plan, store, tick)
    with contextlib.suppress(_Dry):
        run.begin()
        for place in plan.places:
            await run.place(place, stdin)
        for mailbox in plan.mailboxes:
            await run.mailbox(mailbox)
        run.finish()
    return run.result


class _Run:
    def __init__(self, plan: IntakePlan, store: Observations, tick: Callable[[], None]) -> None:
        self._plan = plan
        self._store = store
        self._tick = tick
        self._now = int(plan.ports.clock.now().timestamp())
        self._since = None if plan.since is None else _midnight(plan.since)
        self._intake = 0
        self._seen = SeenRecords()
        self.result = IntakeResult()

    def begin(self) -> None:
        if not self._plan.dry:
            self._intake = self._store.begin(self._now)

    def finish(self) -> None:
        if not self._plan.dry:
            self._store.finish(self._intake, self._now, self._plan.keep_days)
            if self._plan.settles is not None:
                self._plan.settles()

    @contextlib.contextmanager
    def _batch(self) -> Iterator[Batch]:
        """A transaction; in a dry run, one that is taken back."""
        with contextlib.suppress(_Dry), self._store.batch(self._intake, self._now, self._plan.keep_days) as batch:
            yield batch
            if self._plan.dry:
                raise _Dry

    # --- Places ---

    async def place(self, place: str, stdin: BinaryIO | None) -> None:
        broken: list[Exception] = []
        found = itertools.islice(until_lost(items(place, stdin), broken.append), self._plan.most)
        for some in _portions(found):
            await self._taken(some, self._files, self._lost_item)
        for error in broken:
            self.result.problem(place, reason_of(error), lost=True)

    async def _files(self, batch: Batch, some: Sequence[PlaceItem | UnreadPlace]) -> int:
        for number, each in enumerate(some, 1):
            if isinstance(each, UnreadPlace):
                batch.problem(each.detail, each.name)
                self.result.problem(each.name, each.detail, lost=True)
            else:
                await self._item(batch, each)
            self._tick()
            if batch.is_large:
                return number
        return len(some)

    # --- One transaction for many, and none of them in the way of the others ---

    async def _taken(
        self,
        some: Sequence[T],
        take: Callable[[Batch, Sequence[T]], Awaitable[int]],
        lose: Callable[[Batch, T, Exception], None],
    ) -> None:
        """Take items in as few transactions as will hold them; `take` gives how many it took.

        Where that fails for whatever reason, nothing of the transaction stays and each item gets one of its own; the
        item that fails there, too, is told by `lose`. What is wrong with stores and servers is raised: InputError and
        ImapError.
        """
        while some:
            before = copy.deepcopy(self.result)
            lost: list[Exception] = []
            with set_aside(lost.append, but=(InputError, ImapError)), self._batch() as batch:
                done = await take(batch, some)
            if not lost:
                some = some[done:]
                continue
            self.result = before
            if len(some) > 1:
                for each in some:
                    await self._taken((each,), take, lose)
            else:
                with self._batch() as batch:
                    lose(batch, some[0], lost[0])
            return

    def _lost_item(self, batch: Batch, item: PlaceItem | UnreadPlace, error: Exception) -> None:
        """An item that nothing can be done with: told, and not read again, unless it is this machine that failed."""
        detail = reason_of(error)
        batch.problem(detail, item.name)
        self.result.items += 1
        self.result.problem(item.name, detail, lost=True)
        if isinstance(item, UnreadPlace) or isinstance(error, (OSError, MemoryError)):
            return
        digest = item.digest(self._plan.vouched)
        batch.item(digest, ItemState.UNUSED)
        if self._plan.set_aside is not None and not self._plan.dry:
            self._copy(item, digest, self._plan.set_aside)

    # --- Mailboxes ---

    async def mailbox(self, mailbox: IntakeMailbox) -> None:
        def lost(error: Exception) -> None:
            for detail in error.details if isinstance(error, InputError) else (reason_of(error),):
                self.result.problem(mailbox.name, detail, lost=True)

        with set_aside(lost, but=(HistoryError,)):
            access = mailbox.access()
            with ImapFolder(access) as folder:
                await self._folder(mailbox, folder, f"{access.username}@{access.host}:{access.port}/{access.folder}")

    async def _folder(self, mailbox: IntakeMailbox, folder: ImapFolder, key: str) -> None:
        self._tidy(mailbox, folder, key)
        mark = self._store.mark(key, folder.uidvalidity)
        again = {each.uid: each.day for each in self._store.owed(key, folder.uidvalidity) if each.what == _AGAIN}
        most = mailbox.most if self._plan.most is None else min(mailbox.most, self._plan.most)
        found = sorted({*again, *folder.uids(mark, self._plan.since)})[:most]
        today = self._now // DAY
        sizes: dict[int, int] = {}

        def read_up_to(batch: Batch, uid: int, owed: Sequence[tuple[int, str]]) -> None:
            nonlocal mark
            mark = max(mark, uid)
            batch.mark(key, folder.uidvalidity, mark, owed)

        def left(uid: int, what: str) -> tuple[int, str]:
            """What is owed to a mail that was read, empty: nothing."""
            if what == _AGAIN and today - again.get(uid, today) >= _AGAIN_DAYS:
                what = _DONE
            stays = {_DONE: mailbox.done, _FAILED: mailbox.failed}.get(what) == "keep"
            return uid, "" if stays else what

        async def mails(batch: Batch, some: Sequence[int]) -> int:
            owed = []
            for uid in some:
                owed.append(left(uid, await self._mail(batch, mailbox, folder, uid, sizes.get(uid))))
                self._tick()
            read_up_to(batch, some[-1], owed)
            return len(some)

        def lose(batch: Batch, uid: int, error: Exception) -> None:
            octets = folder.octets(uid) or b""
            self._lost_item(batch, PlaceItem(f"{mailbox.name}#{uid}", octets), error)
            read_up_to(batch, uid, [left(uid, _FAILED)])

        for start in range(0, len(found), AT_ONCE):
            portion = found[start : start + AT_ONCE]
            sizes = folder.sizes(portion)
            await self._taken(portion, mails, lose)
            self._tidy(mailbox, folder, key)

    async def _mail(self, batch: Batch, mailbox: IntakeMailbox, folder: ImapFolder, uid: int, size: int | None) -> str:
        """Read a mail; what is to be done with it, empty: nothing."""
        name = f"{mailbox.name}#{uid}"
        if size is not None and size > limits.MAX_COMPRESSED:
            detail = limits.TOO_LARGE(octets=size, limit=limits.MAX_COMPRESSED)
            batch.problem(detail, name)
            self.result.problem(name, detail, lost=True)
            return ""
        octets = None if size is None else folder.octets(uid)
        if octets is None:
            if folder.has(uid):  # else somebody took it away
                batch.problem(NOT_HANDED_OUT(), name)
                self.result.problem(name, NOT_HANDED_OUT(), lost=True)
            return ""
        outcome = await self._item(batch, PlaceItem(name, octets))
        return {ItemState.TAKEN: _DONE, ItemState.UNUSED: _FAILED, ItemState.UNSETTLED: _AGAIN}.get(outcome, "")

    def _tidy(self, mailbox: IntakeMailbox, folder: ImapFolder, key: str) -> None:
        """Move or delete what is kept by now."""
        if self._plan.dry:
            return
        owed = self._store.owed(key, folder.uidvalidity)
        for what, wish in ((_DONE, mailbox.done), (_FAILED, mailbox.failed)):
            uids = [each.uid for each in owed if each.what == what]
            if not uids:
                continue
            if wish == "delete":
                folder.delete(uids)
            elif wish.startswith("move:"):
                folder.move(uids, wish.removeprefix("move:"))
            self._store.settle(key, uids)

    # --- Items ---

    async def _item(self, batch: Batch, item: PlaceItem) -> ItemState:
        plan, result = self._plan, self.result
        result.items += 1
        try:
            digest = item.digest(plan.vouched)
        except OSError as error:
            detail = limits.NOT_OPENED(why=error.strerror or str(error))
            result.problem(item.name, detail, lost=True)
            return ItemState.NO_REPORT
        if (seen := batch.seen(digest)) not in (None, ItemState.UNSETTLED):
            result.seen += 1
            return seen
        proofs: dict[int, MailProof] = {}
        returned: dict[int, Returned] = {}
        taken = unused = left_out = False
        for each in feedback_in(item.content, item.name, batch.rows, self._now, self._seen, plan.outcomes):
            if isinstance(each, UnusedPart):
                unused |= each.is_report
                self._unused(batch, item, each)
            elif isinstance(each, (FoundEvents, FoundValues)):
                if each.mail is not None:
                    each = await self._proved(each, each.mail, returned)
                became = (
                    self._events(batch, item, each)
                    if isinstance(each, FoundEvents)
                    else self._values(batch, item, each)
                )
                taken |= became is ItemState.TAKEN
                unused |= became is ItemState.UNUSED
                left_out |= became is not ItemState.TAKEN
            elif self._is_before(each.report):
                left_out = True
                if each.rows is not None:
                    each.rows.restart()
            else:
                taken = True
                await self._report(batch, digest, item, each, proofs)
        settled = all(each.settled for each in proofs.values()) and all(each.settled for each in returned.values())
        state = ItemState.TAKEN if taken else ItemState.UNUSED if unused else ItemState.NO_REPORT
        state = state if settled else ItemState.UNSETTLED
        if not left_out:
            batch.item(digest, state)
        if unused and plan.set_aside is not None and not plan.dry:
            self._copy(item, digest, plan.set_aside)
        return state

    def _unused(self, batch: Batch, item: PlaceItem, part: UnusedPart) -> None:
        if not part.is_report:
            self.result.others += 1
            if item.alone:
                self.result.problem(item.name, part.detail, lost=True)
            return
        batch.problem(part.detail, item.name)
        self.result.problem(item.name, part.detail, lost=True)

    async def _proved(
        self, found: FoundEvents | FoundValues, mail: Message, returned: dict[int, Returned]
    ) -> FoundEvents | FoundValues:
        """Of what came by mail that which answers ours; the rest is counted as unproven.

        Events and numbers of services come from files: a mail could bring anybody's. An event is named by the message
        that it is about, so that no copy of a bounce counts once more.
        """
        if isinstance(found, FoundValues):
            self.result.unproven[FeedbackKind.NUMBERS] += len(found.values)
            return replace(found, values=())
        known = returned.get(id(mail))
        if known is None and found.kind:
            dns = self._plan.ports.of_subject().dns
            known = await returned_in(mail, self._plan.own, dns, self._plan.ports.clock.now())
            # Where nobody said whose mail it is, it is to be read again once somebody does.
            returned[id(mail)] = known = known if self._plan.own else replace(known, settled=False)
        messages = known.proved if known else {}
        events = list(until_lost(found.events, lambda _: None))  # of a damaged file what can be read
        named = [(each, messages.get(plain_address(each.recipient))) for each in events]
        unproven = [each for each, message in named if message is None]
        self.result.unproven.update(_kind(each) for each in unproven)
        if unproven and self._plan.takes_unproven is not None and not self._plan.dry:
            self._plan.takes_unproven(unproven)
        kept = [
            replace(each, key=f"{message} {each.recipient} {each.result.value}") for each, message in named if message
        ]
        return replace(found, events=iter(kept))

    def _events(self, batch: Batch, item: PlaceItem, found: FoundEvents) -> ItemState:
        """Count what became of mails. UNUSED: nobody told whose mail it is; NO_REPORT: some of it is left out."""
        without = 0
        whole = True
        damage: list[Exception] = []
        events = until_lost(found.events, damage.append)
        while some := list(itertools.islice(events, _EVENTS_AT_ONCE)):
            taken = [replace(each, sender=each.sender or self._plan.domain) for each in some]
            recent = [each for each in taken if each.at is None or self._since is None or each.at >= self._since]
            ours = [each for each in recent if each.sender]
            without += len(recent) - len(ours)
            whole &= len(recent) == len(taken)
            self._counted(batch, ours)
        for error in damage:
            self._unused(batch, item, UnusedPart(found.name, reason_of(error)))
        if without:
            self._unused(batch, item, UnusedPart(found.name, NO_DOMAIN(n=without)))
            return ItemState.UNUSED
        return ItemState.TAKEN if whole else ItemState.NO_REPORT

    def _counted(self, batch: Batch, events: Sequence[DeliveryEvent]) -> None:
        counted = batch.events(events)
        self.result.old += counted.old
        for each in counted.new:
            tally = self.result.tallies[_kind(each), _reporter(each)]
            tally.new += 1
            tally.messages += 1
            self.result.results[each.result] += 1
        if counted.known:
            first = events[0]
            self.result.tallies[_kind(first), _reporter(first)].known += counted.known
        if counted.new and self._plan.takes_events is not None and not self._plan.dry:
            self._plan.takes_events(counted.new)

    def _values(self, batch: Batch, item: PlaceItem, found: FoundValues) -> ItemState:
        """Keep numbers. UNUSED: nobody told which domain they are of."""
        named = [
            replace(each, subject=each.subject or self._plan.domain) if each.origin is DeliveryOrigin.GMAIL else each
            for each in found.values
        ]
        ours = [each for each in named if each.subject]
        if ours:
            old = batch.values(ours)
            self.result.old += old
            self.result.tallies[FeedbackKind.NUMBERS, ours[0].origin.value].new += len(ours) - old
        if len(ours) == len(named):
            return ItemState.TAKEN
        self._unused(batch, item, UnusedPart(found.name, NO_DOMAIN(n=len(named) - len(ours))))
        return ItemState.UNUSED

    def _is_before(self, report: AggregateReport | TlsReport | FailureReport) -> bool:
        if self._since is None or isinstance(report, FailureReport):
            return False
        return report.end < self._since

    async def _report(
        self,
        batch: Batch,
        digest: bytes,
        item: PlaceItem,
        found: FoundReport[ReportRows],
        proofs: dict[int, MailProof],
    ) -> None:
        proof = None
        if found.mail is not None:
            proof = proofs.get(id(found.mail)) or await self._proof(found.mail)
            proofs[id(found.mail)] = proof
        report = found.report
        names = ReportNames(report.reporter, report.email if isinstance(report, AggregateReport) else "")
        if isinstance(report, FailureReport):
            names = replace(names, email=report.reporter)
        whose = trust_of(proof, names, self._plan.reporters, vouched=self._plan.vouched)
        trust, key = whose.level, whose.reporter
        if isinstance(report, AggregateReport):
            owner = registrable_domain(report.domain)
            rows = found.rows or batch.rows()
            taken = batch.aggregate(digest, report, rows, owner, key, trust)
            self._note(batch, item, FeedbackKind.AGGREGATE, found, owner, whose, taken, report.messages)
        elif isinstance(report, TlsReport):
            for owner, policies in _by_owner(report).items():
                taken = batch.tls(digest, report, policies, owner, key, trust)
                sessions = sum(each.succeeded + each.failed for each in policies)
                self._note(batch, item, FeedbackKind.TLS, found, owner, whose, taken, sessions)
        elif not report.domain:
            self._unused(batch, item, UnusedPart(found.name, limits.NOT_STATED(what="reported-domain")))
        else:
            owner = registrable_domain(report.domain)
            arrived = self._arrived(report, found.mail)
            taken = batch.failure(digest, replace(report, arrived=arrived), owner, arrived, trust)
            self._note(batch, item, FeedbackKind.FAILURE, found, owner, whose, taken, 1)

    async def _proof(self, mail: Message) -> MailProof:
        ports = self._plan.ports.of_subject()
        return await mail_proof(mail, ports.dns, self._plan.authserv, self._plan.ports.clock.now())

    def _note(
        self,
        batch: Batch,
        item: PlaceItem,
        kind: FeedbackKind,
        found: FoundReport[ReportRows],
        owner: str,
        whose: ReportTrust,
        taken: Taken,
        messages: int,
    ) -> None:
        """Count a report, and tell what is to be said of it."""
        report = found.report
        if taken is Taken.OLD:
            self.result.old += 1
            return
        tally = self.result.tallies[kind, report.reporter or whose.reporter]
        details: list[Detail] = []
        if taken is Taken.NEW:
            tally.new += 1
            tally.messages += messages
            tally.untrusted += whose.level not in (Trust.VERIFIED, Trust.AUTHENTICATED)
        else:
            tally.known += 1
        if taken in (Taken.NEW, Taken.RAISED, Taken.DOUBLE):
            details += () if isinstance(report, FailureReport) else report.problems
            details += (whose.doubt,) if whose.doubt else ()
        name = "" if isinstance(report, FailureReport) else report.report_id
        if taken in (Taken.CONFLICTING, Taken.DOUBLE):
            details.append((CONFLICTING if taken is Taken.CONFLICTING else DOUBLE)(id=name))
        day = None if isinstance(report, FailureReport) else (report.begin + report.end) // 2 // DAY
        for detail in dict.fromkeys(details):
            batch.problem(detail, item.name, owner, whose.reporter, day)
            self.result.problem(item.name, detail)

    def _arrived(self, report: FailureReport, mail: Message | None) -> int:
        """When what a failure report is about arrived: as it says, as its mail is dated, or now."""
        dated = mail.first("date") if mail else None
        moment = parse_date(dated.value) if dated else None
        for at in (report.arrived, int(moment.timestamp()) if moment else None):
            if at is not None and limits.EARLIEST <= at <= self._now + DAY:
                return at
        return self._now

    def _copy(self, item: PlaceItem, digest: bytes, folder: Path) -> None:
        """A copy of an item that could not be used; one of the same octets is there already."""
        target = folder / f"{digest.hex()}.{_suffix(item.name)}"
        try:
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            with open(target, "wb", opener=private) as file:
                file.write(item.octets())
        except OSError as error:
            self.result.problem(str(target), file_error(target, error), lost=True)


def _portions(found: Iterator[PlaceItem | UnreadPlace]) -> Iterator[list[PlaceItem | UnreadPlace]]:
    """Items for one transaction: as many as may be held, as they may have to be taken once more."""
    some: list[PlaceItem | UnreadPlace] = []
    held = 0
    for each in found:
        some.append(each)
        held += len(each.content) if isinstance(each, PlaceItem) and isinstance(each.content, bytes) else 0
        if len(some) >= _FILES_AT_ONCE or held >= _HELD:
            yield some
            some, held = [], 0
    if some:
        yield some


_KINDS = {
    DeliveryOrigin.BOUNCES: FeedbackKind.BOUNCE,
    DeliveryOrigin.COMPLAINTS: FeedbackKind.COMPLAINT,
    DeliveryOrigin.LOG: FeedbackKind.LOG,
}


def _kind(event: DeliveryEvent) -> FeedbackKind:
    return _KINDS.get(event.origin, FeedbackKind.EVENT)


def _reporter(event: DeliveryEvent) -> str:
    """Of bounces and complaints the receiver; else the service, or that it is a log."""
    own = event.origin in (DeliveryOrigin.BOUNCES, DeliveryOrigin.COMPLAINTS)
    return event.receiver if own else event.origin.value


def _by_owner(report: TlsReport) -> Mapping[str, list[TlsPolicyResult]]:
    """The policies of a report by organizational domain; what names none is left out."""
    found: dict[str, list[TlsPolicyResult]] = {}
    for policy in report.policies:
        if policy.domain:
            found.setdefault(registrable_domain(policy.domain), []).append(policy)
    return found


def _suffix(name: str) -> str:
    """The ending of a name where it is harmless."""
    ending = name.rpartition("/")[2].rpartition(".")[2].lower()
    return ending if ending.isascii() and ending.isalnum() and len(ending) <= 5 else "eml"


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
