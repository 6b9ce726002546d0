"""A cell of the matrix: what befalls which part, when; and what of that may cost a second copy of a mail."""

from typing import NamedTuple

from tests.crash import trap

RANDOM = "random"
KILL, STOP, CUT, LOST = "kill -9", "stopped 6 s", "link cut 3 s", "machine lost"
JUMPS = {"set 1 h forward": 3600, "set 1 h back": -3600}
CLOCK = "clock"
ALL, SMTP = "api and worker", "SMTP server"
CONNECTIONS = 4
"""SMTP connections of each worker process."""
AHEAD = 128
"""What a worker may have claimed beyond two mails for each of its connections."""
PER_MAIL = (trap.BEFORE_END, trap.BEGUN, trap.AFTER_END, trap.AFTER_REPLY, trap.NOTED)
ONE_BUILDS = (trap.FREEZING, trap.BUILDING)


class Cell(NamedTuple):
    """`policy` is POSTHOUSE_ON_UNKNOWN."""

    deployment: int
    part: str
    how: str
    moment: str = RANDOM
    policy: str = "resend"
    connections: int = CONNECTIONS

    def __str__(self) -> str:
        return f"D{self.deployment} {self.part}, {self.how}, {self.moment}, {self.policy}"

    @property
    def workers(self) -> int:
        """How many worker processes: of two nobody knows which one builds an audience."""
        return 1 if self.deployment == 1 or self.moment in ONE_BUILDS else 2

    @property
    def sends(self) -> bool:
        """Whether the part is one that sends."""
        return "worker" in self.part

    @property
    def most_doubled(self) -> int:
        """How many mails may come twice, and then say so. With `hold` none. Else one for each connection that died
        with the process that sent, or with the SMTP server; and of a machine whose journal nobody can read, or a process
        that does not answer for longer than its lease (for which a clock set forward makes it), what it had claimed."""
        if self.policy == "hold":
            return 0
        if self.part == CLOCK:
            return 2 * self.connections + AHEAD if JUMPS[self.how] > 0 else 0
        if self.part == SMTP:
            return 0 if self.how == STOP else self.connections * self.workers
        if not self.sends:
            return 0
        if self.how == KILL:
            return self.connections
        return 2 * self.connections + AHEAD

    def nth(self, mails: int) -> int:
        """Which passage of its fault point it is: of what comes in batches an early one."""
        if self.moment in PER_MAIL:
            return mails // (5 * self.workers)
        return 1 if self.moment in ONE_BUILDS or self.part == "api" else 2
