"""The resolver between two sides: questions in, questions to either side out, one answer back. Without I/O.

    ask(query) ─► course ─► flows to the domestic side, to the trusted side, or both      (policy)
    receive(answer) ─► is it the answer to that flow? what does it prove?                 (message, judge)
                    ─► settled: answer whoever asked  ·  or ask the other side, or wait   (here)

A *flow* is one question to one resolver, with a socket, a number and a mixture of capitals of its own; whatever comes
back has to repeat the last two. Flows stay open until their job is settled: an injected answer comes first, and the
true one behind it is still heard. The caller opens a socket for every `Send`, reports what comes, and calls `tick` at
`next_timer`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from warren.proto.dns import message
from warren.proto.dns.job import Client, Flow, Job, Key, Send, SideState
from warren.proto.dns.judge import Proof
from warren.proto.dns.memory import Memory
from warren.proto.dns.message import NOTIMP, SERVFAIL, Answer, Malformed
from warren.proto.dns.policy import Course, Policy, Side

AGAIN = 0.8  # seconds of silence after which the next resolver of a side is asked too
TRIES = 4  # questions to a side, at most
SIDE_PATIENCE = 3.5  # seconds after which a side that says nothing is given up
NEAR_PATIENCE = 0.6  # seconds that a trusted answer waits for the nearer, domestic one
HOLD = 0.3  # seconds that an answer is held which somebody may have injected (ChinaDNS's `-y`)
FAILED_FOR = 5.0  # seconds for which a failure is remembered (RFC 9520)
SILENT_FOR = 30.0  # seconds for which a resolver that was silent is asked last
REMEMBERED_FOR = 600.0  # seconds for which a name is known to be domestic or foreign
MOST_JOBS, MOST_WAITING = 1024, 64
MOST_REMEMBERED, MOST_FAILED = 10_000, 1_000

NEVER_ASKED = frozenset((message.OPT, *range(249, 256)))  # of the protocol itself: zones, and everything at once


class Resolver:
    """All questions under way. `chance` gives so many bytes that nobody can foretell."""

    def __init__(self, policy: Policy, chance: Callable[[int], bytes]) -> None:
        self.policy = policy
        self._chance = chance
        self._jobs: dict[Key, Job] = {}
        self._flows: dict[int, Flow] = {}
        self._next_flow = 0
        self._timers: list[tuple[float, int, Job, Side]] = []
        self._timer_count = 0
        self._sends: list[Send] = []
        self._closes: list[int] = []
        self._answers: list[tuple[Client, bytes]] = []
        self._remembered: Memory[bytes, Side] = Memory(MOST_REMEMBERED)
        self._failed: Memory[Key, bool] = Memory(MOST_FAILED)
        self._silent_until = [0.0] * len(policy.upstreams)
        self._extends = [False] * len(policy.upstreams)  # answers with an OPT record, so one without is odd

    # --- what comes in ---------------------------------------------------------------------------------------

    def ask(self, data: bytes, client: Client, now: float, *, whole: bool = False) -> None:
        """Take a client's query; `whole`: it asked by TCP, and its answer may be of any length."""
        try:
            query = message.read_query(data)
        except Malformed:
            self._answer(client, message.refusal(data, message.FORMERR))
            return
        asked = query.question
        if query.flags & message.OPCODE or asked.of_class != message.IN or asked.kind in NEVER_ASKED:
            self._answer(client, message.failure(query, NOTIMP))
            return
        key = (asked.key, asked.kind, asked.of_class, query.wants_signatures, query.flags & message.CD)
        room = 65535 if whole else query.room
        job = self._jobs.get(key)
        if job is not None and len(job.clients) < MOST_WAITING:
            job.clients.append((client, query, room))
        elif job is not None or len(self._jobs) >= MOST_JOBS or self._failed.get(key, now):
            self._answer(client, message.failure(query, SERVFAIL))
        else:
            course = self.policy.course(asked, self._remembered.get(asked.key, now))
            self._begin(Job(key, query, course, [(client, query, room)]), now)

    def receive(self, flow: int, data: bytes, now: float) -> None:
        """Take what came by a flow; whatever is not its answer is passed over."""
        one = self._flows.get(flow)
        if one is None:
            return
        try:
            answer = message.read_answer(data)
        except Malformed:
            return
        asked = answer.question
        if answer.number != one.number or (asked.key, asked.kind, asked.of_class) != one.job.key[:3]:
            return
        side = self.policy.upstreams[one.upstream].side
        if one.stream and answer.cut:
            self.fail(flow, now)
            return
        if not one.stream and (answer.cut or asked.name != one.name):
            # Cut short; or its capitals are not ours: a resolver that does not keep them, or a guess of somebody's.
            if not one.again:
                one.again = True
                self._put(one.job, one.upstream, stream=True)
            return
        self._silent_until[one.upstream] = 0.0
        self._heard(one, flow, side, answer, now)

    def fail(self, flow: int, now: float) -> None:
        """Take note that a flow will bring nothing: nobody listens there, or there is no way."""
        one = self._flows.get(flow)
        if one is not None:
            self._silent_until[one.upstream] = now + SILENT_FOR
            self._refused(one, flow, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now:
            _, _, job, side = heappop(self._timers)
            if job.done:
                continue
            state = job.sides[side]
            if 0.0 < state.held_until <= now:
                state.held_until = 0.0
                self._settle(job, now)
            elif 0.0 < job.waits_until <= now:
                self._settle(job, now)
            elif not state.over and state.answer is None:
                for upstream in self._waiting(job, side):
                    self._silent_until[upstream] = now + SILENT_FOR
                self._ask_further(job, side, now)

    # --- what goes out ---------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """Say when `tick` is due; None if nothing is."""
        while self._timers and self._timers[0][2].done:
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def to_send(self) -> list[Send]:
        """Give the questions to be sent now."""
        sends, self._sends = self._sends, []
        return [one for one in sends if one.flow in self._flows]

    def to_close(self) -> list[int]:
        """Give the flows that nothing is awaited of any more."""
        closes, self._closes = self._closes, []
        return closes

    def to_answer(self) -> list[tuple[Client, bytes]]:
        """Give the answers for those who asked."""
        answers, self._answers = self._answers, []
        return answers

    @property
    def in_flight(self) -> int:
        """How many questions are under way."""
        return len(self._jobs)

    # --- one question ----------------------------------------------------------------------------------------

    def _begin(self, job: Job, now: float) -> None:
        self._jobs[job.key] = job
        if job.course in (Course.DOMESTIC, Course.BOTH):
            self._ask_side(job, Side.DOMESTIC, now)
        if job.course is not Course.DOMESTIC:
            self._ask_side(job, Side.TRUSTED, now)

    def _ask_side(self, job: Job, side: Side, now: float) -> None:
        state = job.sides[side]
        state.asked, state.begun = True, now
        self._ask_further(job, side, now)

    def _ask_further(self, job: Job, side: Side, now: float) -> None:
        """Ask the next resolver of a side, or give the side up."""
        state = job.sides[side]
        if job.done or state.over or state.answer is not None:
            return
        able = [at for at in self.policy.of(side) if at not in state.refused]
        late = now - state.begun >= SIDE_PATIENCE
        if able and len(state.tried) < TRIES and not late:
            upstream = min(able, key=lambda at: (state.tried.count(at), self._silent_until[at] > now))
            state.tried.append(upstream)
            self._put(job, upstream, stream=self.policy.upstreams[upstream].stream)
            self._wake(now + AGAIN, job, side)
        elif late or not self._waiting(job, side):
            state.over = True
            self._settle(job, now)
        else:
            self._wake(state.begun + SIDE_PATIENCE, job, side)

    def _refused(self, flow: Flow, number: int, now: float) -> None:
        """Count with no answer by this flow, and no more with its resolver for this question."""
        side = self.policy.upstreams[flow.upstream].side
        flow.job.sides[side].refused.add(flow.upstream)
        self._drop(flow.job, number)
        self._ask_further(flow.job, side, now)

    def _waiting(self, job: Job, side: Side) -> list[int]:
        """List the resolvers of a side that a job waits for."""
        asked = (self._flows[flow].upstream for flow in job.flows)
        return [upstream for upstream in asked if self.policy.upstreams[upstream].side is side]

    def _put(self, job: Job, upstream: int, *, stream: bool) -> None:
        asked = job.query.question
        chance = self._chance(2 + 32)
        number = int.from_bytes(chance[:2], "big")
        name = asked.key if stream else message.mixed_case(asked.key, chance[2:])
        flow, self._next_flow = self._next_flow, self._next_flow + 1
        self._flows[flow] = Flow(number, name, upstream, stream, job)
        job.flows.append(flow)
        flags, signatures = job.query.flags, job.query.wants_signatures
        payload = message.write_query(number, name, asked.kind, asked.of_class, flags, signatures=signatures)
        self._sends.append(Send(flow, upstream, payload, stream))

    def _heard(self, flow: Flow, number: int, side: Side, answer: Answer, now: float) -> None:
        """Take an answer that is one: judge it, and see whether the question is settled by it."""
        job, state = flow.job, flow.job.sides[side]
        if answer.code not in (message.NOERROR, message.NXDOMAIN):
            if state.answer is None:  # this one cannot; another may
                self._refused(flow, number, now)
            return
        extends = answer.opt is not None
        judge = self.policy.judge
        proof = judge.proof(answer) if judge is not None else Proof.NOTHING
        odd = side is Side.DOMESTIC and not flow.stream and self._extends[flow.upstream] and not extends
        self._extends[flow.upstream] |= extends
        held = state.held_until > 0.0
        if state.answer is not None and not held and (state.proof is Proof.DOMESTIC or proof is not Proof.DOMESTIC):
            return
        state.answer, state.proof = answer, proof
        if odd and not held:
            state.held_until = now + HOLD
            self._wake(state.held_until, job, side)
        elif not odd:
            state.held_until = 0.0
            self._settle(job, now)

    def _settle(self, job: Job, now: float) -> None:
        """Answer if it is clear by now which side is to be believed; ask the other side if that is due."""
        if job.done:
            return
        domestic, trusted = job.sides
        ready = domestic.answer is not None and not domestic.held_until
        if job.course is Course.DOMESTIC:
            if ready:
                self._finish(job, domestic.answer, None, now)
            elif domestic.over and not trusted.asked:
                self._ask_side(job, Side.TRUSTED, now)  # which may answer for every name
            elif trusted.answer is not None:
                self._finish(job, trusted.answer, None, now)
            elif domestic.over and trusted.over:
                self._finish(job, None, None, now)
            return
        if ready and domestic.proof is Proof.DOMESTIC:
            self._finish(job, domestic.answer, Side.DOMESTIC, now)
        elif trusted.answer is None:
            if trusted.over:
                self._finish(job, None, None, now)
        elif job.course is Course.TRUSTED:
            self._finish(job, trusted.answer, None, now)
        elif trusted.proof is Proof.DOMESTIC and not domestic.asked:
            job.waits_until = now + NEAR_PATIENCE
            self._wake(job.waits_until, job, Side.DOMESTIC)
            self._ask_side(job, Side.DOMESTIC, now)
        elif domestic.asked and not (ready or domestic.over) and self._is_heard(Side.DOMESTIC, now):
            if not job.waits_until:
                job.waits_until = now + NEAR_PATIENCE
                self._wake(job.waits_until, job, Side.DOMESTIC)
            elif job.waits_until <= now:
                self._believe(job, trusted, now)
        else:
            self._believe(job, trusted, now)

    def _is_heard(self, side: Side, now: float) -> bool:
        """Say whether any resolver of a side has not been silent lately."""
        return any(self._silent_until[at] <= now for at in self.policy.of(side))

    def _believe(self, job: Job, trusted: SideState, now: float) -> None:
        """Take the trusted answer; its addresses say where the name belongs, if it has any."""
        proved = {Proof.DOMESTIC: Side.DOMESTIC, Proof.FOREIGN: Side.TRUSTED}
        self._finish(job, trusted.answer, proved.get(trusted.proof), now)

    def _finish(self, job: Job, answer: Answer | None, proved: Side | None, now: float) -> None:
        job.done = True
        del self._jobs[job.key]
        for flow in tuple(job.flows):
            self._drop(job, flow)
        if answer is None:
            self._failed.put(job.key, True, now + FAILED_FOR)
        elif proved is not None:
            self._remembered.put(job.key[0], proved, now + REMEMBERED_FOR)
        for client, query, room in job.clients:
            told = message.failure(query, SERVFAIL) if answer is None else message.reply(query, answer, room)
            self._answer(client, told)

    # --- small things ----------------------------------------------------------------------------------------

    def _drop(self, job: Job, flow: int) -> None:
        job.flows.remove(flow)
        del self._flows[flow]
        self._closes.append(flow)

    def _wake(self, at: float, job: Job, side: Side) -> None:
        self._timer_count += 1
        heappush(self._timers, (at, self._timer_count, job, side))

    def _answer(self, client: Client, data: bytes) -> None:
        if data:
            self._answers.append((client, data))
