"""A caption, word by word, each with its own look at the picture.

Source: Xu et al. 2015, "Show, Attend and Tell" (arXiv:1502.03044), soft attention: a convolutional
net whose feature map keeps its regions, and an LSTM that weights them anew before each word. The
words are chosen greedily, a fixed number of them, so that the net is one static graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 72  # of the pictures
REGIONS = 9  # a side: of 8 pixels each
STEPS = 10  # words in a caption, the end among them
FEATURES, HIDDEN, EMBEDDED = 192, 192, 64
ENCODER: tuple[int | str, ...] = (32, "M", 64, "M", 128, 128, "M", 192, 192)


def show_attend_tell(words: int) -> nn.Module:
    """Return a module with children `encoder`, `attention` and `decoder`.

    Takes float32 (N, 3, 72, 72); gives the words' scores (N, 10, words) and, for each, the weights
    of the 81 regions (N, 10, 81), row by row. Word 0 is the end; what follows it means nothing.
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
            """Go on from each word of `wanted` (N, 10), or else from the word of the best score."""
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
    """Return a module that gives the features of regions (N, 81, 192) of pictures."""
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
    """Return a module that weights regions by what the decoder has in mind.

    Bahdanau et al. 2015 (arXiv:1409.0473), equation 6 and appendix A.1.2. Takes the regions, their
    `keys` (computed once a picture) and the decoder's hidden state; gives the weighted sum
    (N, 192), gated as in Xu et al., section 4.2.1, and the weights (N, 81).
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
    """Return a module that takes one step: a word, what is seen, and the LSTM's two states.

    Gives the scores of the next word (N, words), the best one (N,), and the new states.
    """
    import torch
    from torch import nn

    class Start(nn.Module):
        """The word before the first, and the first states, of the mean of all regions.

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
    """Return a module that puts what the steps gave side by side, along axis 1."""
    import torch
    from torch import nn

    class Stack(nn.Module):
        def forward(self, *steps: Tensor) -> Tensor:
            return torch.stack(steps, 1)

    return Stack()
