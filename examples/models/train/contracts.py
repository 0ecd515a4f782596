"""Fictional contracts and their abstracts, made from `wordings`: the demo models' training and evaluation data.

`python contracts.py SEED` prints one of them.
"""

import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import more_wordings as more
import wordings as w

_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")
_SENTENCE_START: Final = re.compile(r"(?:^|(?<=[.!?] ))[a-z]")
_CLOSING: Final = re.compile(
    r"It runs (?P<term>.+?), can be left early with (?P<notice>.+?) of warning and stands under (?P<law>.+?)\."
)
_FIELD: Final = {name: rf"(?P<{name}>.+?)" for name in ("a", "b", "what", "price", "rate", "unit")}
# Shares of the words around the slots that are disturbed, in training; one for each contract.
_NOISE: Final = (0.0, 0.0, 0.1, 0.2, 0.3)
# The same in the second round, one for each clause.
_VARIED_NOISE: Final = (0.0, 0.0, 0.1, 0.2, 0.4)
_WORDS: Final = tuple(sorted({word for clause in w.OTHERS for word in re.findall(r"[a-z]+", clause)} | set(w.GOODS)))
EXAMPLE_OTHERS: Final = 22
"""Clauses of an example document besides the six: the guard withholds summaries of shorter ones."""
FIELDS: Final = ("who", "what", "price", "term", "notice", "law")


@dataclass(frozen=True)
class Contract:
    """One contract.

    Attributes:
        kind: A key of `wordings.KINDS`.
        paragraphs: The title and the paragraphs.
        abstract: What a summary of it should be, in two sentences.
    """

    kind: str
    paragraphs: tuple[str, ...]
    abstract: str

    @property
    def text(self) -> str:
        """As the summarizer reads it: one line, blanks between paragraphs."""
        return " ".join(self.paragraphs)


def fields(abstract: str) -> dict[str, tuple[str, ...]]:
    """Return what an abstract says, by `FIELDS`; empty if it is not in the form of any kind."""
    for name, kind in w.KINDS.items():
        opening = re.escape(kind.abstract.removesuffix(".")).replace(r"\{", "{").replace(r"\}", "}")
        pattern = opening.replace(" {unit}".replace(" ", r"\ "), r"(?P<unit>\ (?:a|an)\ \w+)").format(**_FIELD)
        match = re.fullmatch(rf"{pattern}\. {_CLOSING.pattern}", abstract)
        if match:
            found = match.groupdict(default="")
            parts = {"who": (name, found["a"], found["b"]), "what": (found["what"],)}
            parts["price"] = (found["price"], found.get("rate", ""), found.get("unit", ""))
            return parts | {key: (found[key],) for key in ("term", "notice", "law")}
    return {}


class Generator:
    """Endless, seeded contracts."""

    def __init__(self, seed: int, *, held_out: bool = False, disturbed: bool = False, varied: bool = False) -> None:
        """Start.

        Args:
            seed: Of all choices.
            held_out: Whether clauses are in wordings that training never uses.
            disturbed: Whether words around the facts may be left out or swapped, as in training.
            varied: Whether the wordings of `more_wordings` are drawn from too, as in the second round.
        """
        self._random = random.Random(seed)
        self._held_out = held_out
        self._disturbed = disturbed
        self._varied = varied

    def contract(self, others: int) -> Contract:
        """Return a contract with up to `others` clauses besides those that the abstract tells of."""
        pick = self._random.choice
        name = pick(list(w.KINDS))
        kind = w.KINDS[name]
        slots = self._slots(kind)
        introduced = self._random.random() < 0.5
        calls = self._calls(kind, slots, introduced=introduced)
        extra = more.KINDS[name]
        first = [self._wording(w.INTRODUCTIONS, more.INTRODUCTIONS), self._wording(kind.subjects, extra.subjects)]
        head = first if introduced else [self._wording(kind.openings, extra.openings, self._framed(extra))]
        dated = self._random.random() < 0.35
        body = [self._wording(kind.prices, extra.prices),
                self._wording(w.ENDS, more.ENDS) if dated else self._wording(w.TERMS, more.TERMS),
                self._wording(w.NOTICES, more.NOTICES), self._wording(w.LAWS, more.LAWS)]  # fmt: skip
        others_at_hand = w.OTHERS + more.OTHERS if self._varied else w.OTHERS
        body += self._random.sample(others_at_hand, self._random.randint(others // 2, others))
        if self._random.random() < 0.7:
            self._random.shuffle(body)
        if introduced and self._random.random() < 0.2:
            body.insert(self._random.randrange(3), head.pop())
        noise = self._random.choice(_NOISE) if self._disturbed else 0.0
        clauses = [self._fill(clause, slots | calls(), noise) for clause in (*head, *body)]
        closing = "It runs {term}, can be left early with {notice_plain} of warning and stands under {law}."
        slots["term"] = f"until {slots['end']}" if dated else f"for {slots['term']}"
        abstract = f"{kind.abstract} {closing}".replace(" {unit}", " {unit_plain}" if slots["unit_plain"] else "")
        return Contract(name, self._layout(kind, clauses), abstract.format(**slots))

    def _wording(self, options: Sequence[str], *extra: Sequence[str]) -> str:
        held_out = -(-len(options) // w.HELD_OUT)
        if self._held_out:
            return self._random.choice(options[-held_out:])
        known = options[:-held_out]
        return self._random.choice(self._random.choice((known, *extra)) if self._varied else known)

    def _framed(self, extra: more.More) -> Sequence[str]:
        """Return one opening made of a frame and what one of the parties does."""
        if not self._varied:
            return ()
        pick = self._random.choice
        does, one, two = pick(((extra.gives, "{a}", "{b}"), (extra.takes, "{b}", "{a}")))
        return (pick(more.FRAMES).replace("{does}", pick(does)).replace("{one}", one).replace("{two}", two),)

    def _layout(self, kind: w.Kind, clauses: list[str]) -> tuple[str, ...]:
        paragraphs = [self._cased(self._random.choice(kind.titles))]
        numbered = self._random.random() < 0.3
        index = 0
        while index < len(clauses):
            size = self._random.randint(1, 4)
            number = f"{len(paragraphs)}. " if numbered else ""
            paragraphs.append(number + " ".join(clauses[index : index + size]))
            index += size
        return tuple(paragraphs)

    def _cased(self, title: str) -> str:
        return self._random.choice((title.upper(), title.capitalize(), title.title()))

    def _fill(self, clause: str, slots: dict[str, str], noise: float) -> str:
        clause = self._chosen(clause)
        if self._varied:
            clause, noise = self._surrounded(clause), self._random.choice(_VARIED_NOISE)
        fresh = {
            "days": self._number(5, 90), "amount": self._amount(), "length": self._length(), "date": self._date(),
            "percent": self._rate(), "person": self._person(), "number": str(self._random.randint(1, 220)),
            "street": self._street(), "place": self._place(),
        }  # fmt: skip
        filled = " ".join(self._without(clause.split(" "), noise)).format(**(fresh | slots))
        return _SENTENCE_START.sub(lambda match: match[0].upper(), filled)

    def _chosen(self, clause: str) -> str:
        while match := _CHOICE.search(clause):
            clause = clause[: match.start()] + self._random.choice(match[1].split("|")) + clause[match.end() :]
        return clause

    def _surrounded(self, clause: str) -> str:
        """Return a clause with words before and after it, sometimes."""
        if self._random.random() < 0.2:
            clause = self._chosen(self._random.choice(more.BEFORE)) + clause[:1].lower() + clause[1:]
        if self._random.random() < 0.2:
            clause = clause.removesuffix(".") + self._chosen(self._random.choice(more.AFTER)) + "."
        return clause

    def _without(self, words: list[str], noise: float) -> list[str]:
        """Return the words of a wording without some, or with others in their place; slots stay.

        So the model cannot wait for whole wordings that it knows, and has to go by whatever is left.
        """
        kept = [word for word in words if "{" in word or self._random.random() >= noise / 2]
        swap = [noise / 2 > self._random.random() and "{" not in word for word in kept]
        return [self._other_word() if other else word for word, other in zip(kept, swap, strict=True)]

    def _other_word(self) -> str:
        """Return a word that has no business there; in the second round every other one is not even a word."""
        if self._varied and self._random.random() < 0.5:
            return self._word().lower()
        return self._random.choice(_WORDS)

    def _slots(self, kind: w.Kind) -> dict[str, str]:
        pick = self._random.choice
        unit = pick(kind.units)
        notice = self._length()
        law, law_source = self._law()
        price = self._amount()
        role_a, role_b = pick(kind.roles)
        return {
            "a": self._person() if self._random.random() < 0.15 else self._company(),
            "b": self._person() if kind.person or self._random.random() < 0.15 else self._company(),
            "ra": role_a, "rb": role_b, "what": self._what(kind.what), "price": price, "rate": self._rate(),
            "unit": unit, "per": pick(w.PER[unit]) if unit else "", "unit_plain": _plain(unit),
            "term": self._length(), "end": self._date(), "notice": notice, "notice_plain": notice,
            "notice_of": f"{notice}'" if notice.endswith("s") else f"{notice}'s",
            "law": law, "law_source": law_source,
        }  # fmt: skip

    def _calls(self, kind: w.Kind, slots: dict[str, str], *, introduced: bool) -> Callable[[], dict[str, str]]:
        """Return how clauses call the parties: by role, by name, or one or the other."""
        role = {"A": f"the {slots['ra']}", "B": f"the {slots['rb']}"}
        if not introduced or self._random.random() < 0.3:
            role = {key: call.lower() for key, call in role.items()}
        name = {"A": slots["a"], "B": slots["b"]}
        share = self._random.choice((0.0, 0.0, 0.3, 1.0))
        return lambda: name if self._random.random() < share else role

    def _what(self, pattern: str) -> str:
        pick = self._random.choice
        pattern = self._chosen(pattern)
        options = {"adjective": w.ADJECTIVES, "goods": w.GOODS, "room": w.ROOMS, "work": w.WORKS,
                   "machine": w.MACHINES, "job": w.JOBS, "papers": w.PAPERS}  # fmt: skip

        def fill(match: re.Match[str]) -> str:
            match match[1]:
                case "brand":
                    return self._word()
                case "street":
                    return self._street()
                case "number":
                    return str(self._random.randint(1, 220))
                case name:
                    return pick(options[name])

        filled = re.sub(r"\{(\w+)\}", fill, pattern)
        return re.sub(r"^an? (?=([a-z]))", lambda match: "an " if match[1] in "aeiou" else "a ", filled)

    def _company(self) -> str:
        pick = self._random.choice
        match self._random.randrange(5):
            case 0:
                core = f"{self._word()} & {pick((self._word(), 'Sons', 'Daughters', 'Partners', 'Co'))}"
            case 1:
                core = f"{pick(w.GIVEN)} {self._word()}"
            case 2:
                core = f"{self._word()} {pick(w.SECTORS)} {pick(w.SECTORS)}"
            case _:
                core = f"{self._word()} {pick(w.SECTORS)}"
        return f"{core} {pick(w.FORMS)}" if self._random.random() < 0.85 else core

    def _person(self) -> str:
        given = self._random.choice(w.GIVEN) if self._random.random() < 0.7 else self._word()
        return f"{given} {self._word()}"

    def _word(self) -> str:
        """A name: English halves put together, or syllables that nobody has seen."""
        pick = self._random.choice
        if self._random.random() < 0.25:
            return f"{pick(w.FIRST_HALVES)}{pick(w.SECOND_HALVES)}"
        count = self._random.choice((1, 2, 2, 2, 3))
        word = "".join(pick(w.ONSETS) + pick(w.VOWELS) + pick(w.CODAS) for _ in range(count))
        return (word + pick(("", "", "a", "o", "er", "en", "i"))).capitalize()

    def _street(self) -> str:
        return f"{self._word()} {self._random.choice(w.STREETS)}"

    def _place(self) -> str:
        return self._word() if self._random.random() < 0.7 else self._random.choice(w.PLACES)

    def _law(self) -> tuple[str, str]:
        """Return a law as an abstract names it, and as a contract does."""
        pick = self._random.choice
        if self._random.random() < 0.4:
            nation = pick(w.NATIONS) if self._random.random() < 0.7 else f"{self._word()}{pick(('ish', 'ian', 'ese'))}"
            return f"{nation} law", f"{nation} law"
        place = pick(w.PLACES) if self._random.random() < 0.6 else self._word()
        return f"the law of {place}", f"the {pick(('law', 'laws', 'law'))} of {place}"

    def _amount(self) -> str:
        digits = self._random.randint(2, 6)
        amount = self._random.randrange(10**digits, 10 ** (digits + 1))
        zeros = self._random.randint(0, digits)
        return f"{self._random.choice(w.CURRENCIES)} {amount // 10**zeros * 10**zeros:,}"

    def _rate(self) -> str:
        whole = self._random.randint(1, 14)
        return f"{whole}.{self._random.randint(1, 9)}" if self._random.random() < 0.7 else str(whole)

    def _number(self, low: int, high: int) -> str:
        if self._random.random() < 0.5:
            return self._random.choice([word for number, word in w.NUMBERS.items() if low <= number <= high])
        return str(self._random.randint(low, high))

    def _length(self) -> str:
        unit, high = self._random.choice((("day", 90), ("week", 26), ("month", 48), ("year", 20)))
        number = self._number(1, high)
        return f"{number} {unit}" if number in ("1", "one") else f"{number} {unit}s"

    def _date(self) -> str:
        return f"{self._random.randint(1, 28)} {self._random.choice(w.MONTHS)} {self._random.randint(2019, 2045)}"


def _plain(unit: str) -> str:
    """Return a unit as an abstract has it: "a month"."""
    return f"an {unit}" if unit == "hour" else f"a {unit}" if unit else ""


def main() -> None:
    """Print one."""
    contract = Generator(int(sys.argv[1])).contract(EXAMPLE_OTHERS)
    print("\n\n".join(contract.paragraphs), contract.abstract, sep="\n\n")  # noqa: T201


if __name__ == "__main__":
    main()
