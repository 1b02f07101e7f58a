"""Image captioning with attention.

Source: Xu et al. 2015, "Show, Attend and Tell" (arXiv:1502.03044), with soft attention: a
convolutional net gives a feature map of regions, and an LSTM weights them again before each word.
A fixed number of words is chosen greedily, so that the net is one static graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 72  # of pictures, in pixels
REGIONS = 9  # on each side of a picture, 8 pixels wide
STEPS = 10  # words in a caption, its end included
FEATURES, HIDDEN, EMBEDDED = 192, 192, 64
ENCODER: tuple[int | str, ...] = (32, "M", 64, "M", 128, 128, "M", 192, 192)


def show_attend_tell(words: int) -> nn.Module:
    """Return a module with children `encoder`, `attention` and `decoder`.

    It takes float32 (N, 3, 72, 72) and returns scores of words (N, 10, words) and, for each word,
    the weights of the 81 regions (N, 10, 81), row by row. Word 0 is the end; words after it have no
    meaning.
    """
    from torch import nn

    class ShowAttendTell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder()
            self.attention: Any = attention()
            self.decoder: Any = decoder(words)

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return self.told(images)

        def told(self, images: Tensor, wanted: Tensor | None = None) -> tuple[Tensor, Tensor]:
            """Return scores and weights; each step follows on the word of `wanted` (N, 10) or,
            without it, on the word with the best score.
            """
            regions = self.encoder(images)
            keys = self.attention.keys(regions)
            word, hidden, cell = self.decoder.start(regions)
            scores, weights = [], []
            for step in range(STEPS):
                seen, weight = self.attention(regions, keys, hidden)
                score, best, hidden, cell = self.decoder(word, seen, hidden, cell)
                word = best if wanted is None else wanted[:, step]
                scores.append(score)
                weights.append(weight)
            return self.decoder.steps(*scores), self.attention.steps(*weights)

    return ShowAttendTell()


def encoder() -> nn.Module:
    """Return a module from pictures to the features of their regions (N, 81, 192)."""
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            parts: list[nn.Module] = []
            width = 3
            for entry in ENCODER:
                if entry == "M":
                    parts.append(nn.MaxPool2d(2))
                    continue
                convolution = nn.Conv2d(width, int(entry), 3, padding=1, bias=False)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                width = int(entry)
                parts += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            self.features = nn.Sequential(*parts)

        def forward(self, images: Tensor) -> Tensor:
            regions: Tensor = self.features(images).flatten(2).transpose(1, 2)
            return regions

    return Encoder()


def attention() -> nn.Module:
    """Return a module that weights regions by the decoder's hidden state.

    Bahdanau et al. 2015 (arXiv:1409.0473), equation 6 and appendix A.1.2. It takes the regions,
    their `keys` (computed once for a picture) and the hidden state, and returns the weighted sum of
    regions (N, 192), gated as in Xu et al., section 4.2.1, and the weights (N, 81).
    """
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.keys = nn.Linear(FEATURES, HIDDEN, bias=False)
            self.query = nn.Linear(HIDDEN, HIDDEN)
            self.score = nn.Linear(HIDDEN, 1, bias=False)
            self.gate = nn.Linear(HIDDEN, FEATURES)
            self.steps = _stack()

        def forward(self, regions: Tensor, keys: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
            scores = self.score((keys + self.query(hidden)[:, None]).tanh())[..., 0]
            weights = scores.softmax(1)
            seen = (weights[..., None] * regions).sum(1)
            return self.gate(hidden).sigmoid() * seen, weights

    return Attention()


def decoder(words: int) -> nn.Module:
    """Return a module for one step: it takes a word, the attended features and two LSTM states.

    It returns the scores of the next word (N, words), the best word (N,), and the new states.
    """
    import torch
    from torch import nn

    class Start(nn.Module):
        """Returns the word before the first, and the initial states from the regions' mean.

        Xu et al., section 3.1.2.
        """

        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(FEATURES, HIDDEN)
            self.cell = nn.Linear(FEATURES, HIDDEN)

        def forward(self, regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean = regions.mean(1)
            word = torch.zeros_like(mean[:, 0], dtype=torch.long)
            return word, self.hidden(mean).tanh(), self.cell(mean).tanh()

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start = Start()
            self.embedding = nn.Embedding(words, EMBEDDED)
            self.gates = nn.Linear(EMBEDDED + FEATURES + HIDDEN, 4 * HIDDEN)
            self.scores = nn.Linear(HIDDEN + FEATURES, words)
            self.steps = _stack()

        def forward(
            self, word: Tensor, seen: Tensor, hidden: Tensor, cell: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            # Hochreiter and Schmidhuber 1997, with forget gates, written out in plain operators.
            known = torch.cat([self.embedding(word), seen, hidden], 1)
            enter, forget, new, leave = self.gates(known).chunk(4, 1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            hidden = leave.sigmoid() * cell.tanh()
            scores = self.scores(torch.cat([hidden, seen], 1))
            return scores, scores.argmax(1), hidden, cell

    return Decoder()


def _stack() -> nn.Module:
    """Return a module that stacks the results of the steps along axis 1."""
    import torch
    from torch import nn

    class Stack(nn.Module):
        def forward(self, *steps: Tensor) -> Tensor:
            return torch.stack(steps, 1)

    return Stack()
