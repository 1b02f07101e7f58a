"""Whether a shipped artifact is there, as it was shipped, and what the suite says that it is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perfsuite.config.conversion import Location
from perfsuite.config.expansion import is_for
from perfsuite.domain.recipe import ResolvedRecipe, Shipped
from perfsuite.domain.runtime import MANIFEST, Manifest
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.store.kept import LIST, digest_of_list, fault


def check_shipped(
    recipe: ResolvedRecipe, shipped: Shipped, suite: ResolvedSuite, location: Location
) -> None:
    """Raise `ConfigError` unless a recipe's artifact is whole, and of one cell of the suite.

    Each of its files must have the SHA-256 that it was shipped with, and so must their list, if the
    suite tells it.
    """
    named = [name for name in suite.workloads if is_for(recipe.workloads, name)]
    if len(named) != 1:
        raise location.key("workloads").error(
            f"what is shipped is one workload's, and this recipe is for {', '.join(named)}; name "
            f'it: workloads = ["{named[0] if named else "..."}"]'
        )
    folder, here = Path(shipped.artifact), location.key("shipped")
    if not folder.is_dir():
        raise here.key("artifact").error(
            f"there is no folder {folder}; a relative path begins at the folder of the suite"
        )
    if told := fault(folder):
        raise here.key("artifact").error(
            f"{told}; copy the whole folder again from where it was shipped, or ship it anew"
        )
    if shipped.sha256 and digest_of_list(folder) != shipped.sha256:
        raise here.key("sha256").error(
            f"{folder / LIST} has another SHA-256: these are other files than were shipped with "
            f"this suite; copy the whole folder again from where it was shipped, or ship it anew"
        )
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise here.key("artifact").error(
            f"{folder / MANIFEST}: not an artifact's manifest ({error}); ship it anew"
        ) from error
    for key in ("runtime", "device", "precision", "batch"):
        said, found = getattr(shipped, key), getattr(manifest, key)
        if said != found:
            raise here.key(key).error(f"is {said!r}, and the artifact was built for {found!r}")
