"""The next token of each sequence of a batch, by its own SamplingParams and its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import torch

from core.engine.scheduler import Sequence
from core.types import SamplingParams

COLD = 1e-5  # a temperature below this is greedy: scores divided by it are no numbers
NARROW = 256  # likeliest tokens that are sorted first; nearly always top-p keeps no more


class Choice:
    """What one sequence's choices hang on: its parameters, its generator, the tokens seen so far."""

    def __init__(self, params: SamplingParams) -> None:
        self.params = params
        self._generator = torch.Generator()  # on the CPU for every device, so that a seed gives the same numbers
        self._seed = self._generator.seed() if params.seed is None else params.seed
        self._drawn = -1
        self._seen: torch.Tensor | None = None
        self._read = 0

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is the choice."""
        return self._greedy and self.params.repetition_penalty == 1

    @property
    def _greedy(self) -> bool:
        return self.params.temperature < COLD

    def number(self, position: int) -> float:
        """The random number in [0, 1) for the answer's token at `position`: the same however often it was drawn before."""
        if position != self._drawn:  # the first, or one after a step that failed, or a sequence that was sent back
            self._generator.manual_seed(self._seed)
            torch.rand(position, generator=self._generator, dtype=torch.float64)
        self._drawn = position + 1
        return float(torch.rand(1, generator=self._generator, dtype=torch.float64))

    @property
    def top_k(self) -> int:
        """0 keeps all; greedy is the likeliest one."""
        return 1 if self._greedy else self.params.top_k

    @property
    def filters(self) -> bool:
        """Whether a filter needs the likeliest tokens in order."""
        return bool(self.top_k) or self.params.top_p < 1

    def scores(self, logits: torch.Tensor, sequence: Sequence) -> torch.Tensor:
        """`logits` [vocabulary] after penalty and temperature, in float32."""
        return self._penalized(logits.float(), sequence) / (1.0 if self._greedy else self.params.temperature)

    def _penalized(self, logits: torch.Tensor, sequence: Sequence) -> torch.Tensor:
        """The tokens of `sequence` made less likely (Keskar et al., CTRL, 2019, section 4.1)."""
        penalty = self.params.repetition_penalty
        if penalty == 1:
            return logits
        if self._seen is None:
            self._seen = torch.zeros_like(logits, dtype=torch.bool)
        self._seen[torch.tensor(sequence.read(self._read, sequence.length - self._read), device=logits.device)] = True
        self._read = sequence.length
        return torch.where(self._seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def choose(logits: torch.Tensor, sequences: Seq[Sequence], choices: Seq[Choice]) -> list[int | None]:
    """The next token of each sequence from `logits` [sequences, vocabulary]; None where they are no numbers.

    Filters work as those of `generate`, in its order: penalty, temperature, top-k, top-p, min-p.
    """
    best, tokens = logits.max(dim=-1)  # NaN wins over every number
    found: list[int | None] = tokens.tolist()
    sorting = [index for index, choice in enumerate(choices) if not choice.plain and choice.filters]
    whole = [index for index, choice in enumerate(choices) if not choice.plain and not choice.filters]
    for drawn, draw in ((sorting, _draw_sorted), (whole, _draw_whole)):
        if drawn:
            scores = torch.stack([choices[index].scores(logits[index], sequences[index]) for index in drawn])
            numbers = [choices[index].number(len(sequences[index].generated)) for index in drawn]
            column = torch.tensor(numbers, dtype=torch.float64, device=logits.device)[:, None]
            for index, token in zip(drawn, draw(scores, [choices[index] for index in drawn], column), strict=True):
                found[index] = token
    return [token if number else None for token, number in zip(found, torch.isfinite(best).tolist(), strict=True)]


def _draw_whole(scores: torch.Tensor, choices: Seq[Choice], numbers: torch.Tensor) -> list[int]:
    """Drawn from all of `scores` [choices, vocabulary] that min-p leaves: no need to sort them. `numbers` is [choices, 1]."""
    odds = scores.softmax(-1)
    least = _column(odds, [choice.params.min_p for choice in choices]) * odds.amax(-1, keepdim=True)
    return _pick(odds.masked_fill(odds < least, 0.0), numbers)[:, 0].tolist()


def _draw_sorted(scores: torch.Tensor, choices: Seq[Choice], numbers: torch.Tensor, width: int = NARROW) -> list[int]:
    """Drawn from what top-k, top-p and min-p leave of `scores` [choices, vocabulary], of which `width` are sorted."""
    width = min(scores.shape[1], max(width, *(choice.params.top_k for choice in choices), 0))
    odds, ids = _filtered(scores, width, choices)
    tokens: list[int] = ids.gather(-1, _pick(odds, numbers))[:, 0].tolist()
    if width < scores.shape[1]:  # top-p may keep more than these
        ends = odds[:, -1].tolist()
        unsure = [place for place, choice in enumerate(choices) if ends[place] > 0 and not choice.top_k]
        for place in unsure:
            here = slice(place, place + 1)
            tokens[place] = _draw_sorted(scores[here], choices[here], numbers[here], scores.shape[1])[0]
    return tokens


def _filtered(scores: torch.Tensor, width: int, choices: Seq[Choice]) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest `width` tokens' probabilities, 0 for those that a filter takes out, and their ids, likeliest first."""
    likeliest, ids = scores.topk(width, dim=-1)
    top_k = _column(scores, [choice.top_k or scores.shape[1] for choice in choices])
    top_p = _column(scores, [choice.params.top_p for choice in choices])
    min_p = _column(scores, [choice.params.min_p for choice in choices])
    inside = likeliest.masked_fill(torch.arange(width, device=scores.device)[None] >= top_k, -torch.inf)
    total = torch.where(top_k > width, scores.logsumexp(-1, keepdim=True), inside.logsumexp(-1, keepdim=True))
    odds = (inside - total).exp()
    before = odds.cumsum(-1) - odds  # Holtzman et al., 2020: the fewest that reach top_p; the first always stays
    odds = odds.masked_fill((before >= top_p) & (top_p < 1), 0.0)
    return odds.masked_fill(odds < min_p * odds[:, :1], 0.0), ids


def _pick(odds: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """A place in each row of `odds`, [rows, 1], by that row's number in [0, 1)."""
    sums = odds.double().cumsum(-1)
    total = sums[:, -1:].contiguous()
    places = torch.searchsorted(sums, numbers * total, right=True)
    last = torch.searchsorted(sums, total)  # the last that has any odds: rounding must not lead beyond it
    return places.minimum(last).clamp(max=odds.shape[-1] - 1)  # a row of no numbers has none; `choose` tells it


def _column(like: torch.Tensor, values: Seq[float]) -> torch.Tensor:
    return like.new_tensor(values)[:, None]
