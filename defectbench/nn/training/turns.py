"""How adversarial training is shared: named optimisers that take turns.

A turn is "hold all others, zero mine, any number of backward passes, step on a clean exit", so that a training step
reads like the algorithm box of its paper:

    with self.turn("critic") as turn:
        turn.backward(critic_loss)
    with self.turn("generator", "encoder") as turn:
        with held(self.encoder):  # its second look at what was drawn teaches the generator alone
            latent_loss = ...
        turn.backward(image_loss + latent_loss)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning import LightningModule
from torch import Tensor, nn

from defectbench.config import nearest


class Turns:
    """Named optimisers of one module, taken in turns. Sets manual optimisation.

    Args:
        module: the LightningModule that owns them.
        players: names, in the order in which `configure_optimizers` returns optimisers.
    """

    def __init__(self, module: LightningModule, *players: str) -> None:
        """Remember the players; the optimisers are looked up when the first turn is taken."""
        module.automatic_optimization = False
        self._module, self.players = module, players

    def _index(self, player: str) -> int:
        if player not in self.players:
            raise KeyError(f"no player {player!r}; {nearest(player, self.players)}")
        return self.players.index(player)

    def optimizer(self, player: str) -> Any:
        """Give a player's optimiser, wrapped by Lightning.

        Raises:
            KeyError: no such player; the message lists those there are.
        """
        index = self._index(player)
        optimizers = self._module.optimizers()
        return optimizers[index] if isinstance(optimizers, list) else optimizers

    def parameters(self, player: str) -> list[nn.Parameter]:
        """List the parameters that a player's optimiser owns."""
        groups = self.optimizer(player).param_groups
        return [parameter for group in groups for parameter in group["params"]]

    def set_lr(self, player: str, lr: float) -> None:
        """Set a player's learning rate, e.g. from the clock's progress."""
        for group in self.optimizer(player).param_groups:
            group["lr"] = lr

    @contextmanager
    def __call__(self, *players: str) -> Iterator[Turn]:
        """Let `players` learn: hold all others, zero, yield, step. If the block raises, nothing steps.

        Raises:
            KeyError: no such player; the message lists those there are.
        """
        optimizers = [self.optimizer(player) for player in players]
        mine = {id(p) for player in players for p in self.parameters(player)}
        others = [
            parameter
            for player in self.players
            if player not in players
            for parameter in self.parameters(player)
            if parameter.requires_grad and id(parameter) not in mine
        ]
        with _frozen(others):
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            yield Turn(self._module)
            for optimizer in optimizers:
                optimizer.step()


class Turn:
    """One turn: adds gradients; its optimisers step when the block ends."""

    def __init__(self, module: LightningModule) -> None:
        self._module = module

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`; call as often as the method needs."""
        self._module.manual_backward(loss)


@contextmanager
def held(*networks: nn.Module) -> Iterator[None]:
    """Keep what the networks compute inside the block from training them; gradients still flow to their inputs.

    It works while the graph is built, so that one backward pass serves losses with and without the held networks.
    """
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    with _frozen(parameters):
        yield


@contextmanager
def _frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
