"""What the names of a module stand for."""

import ast
from dataclasses import dataclass, field

NAME = "separations"
WHOLE = "*"  # in place of a definition: everything in the module

Key = tuple[str, str]  # module ('' is the package itself) and name in it


@dataclass
class Names:
    """What the names of a module stand for.

    definitions: statements that make each; imports: modules and names (None: the module itself) in the library, the last one first;
    outside: the same in words for names that come from elsewhere; stars: modules whose names are all taken over; statements: all but
    imports and those that say nothing.
    """

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    statements: list[ast.stmt] = field(default_factory=list)

    def update(self, other: "Names") -> None:
        for name, targets in other.imports.items():
            self.imports[name] = [*targets, *(one for one in self.imports.get(name, ()) if one not in targets)]
        self.outside |= other.outside
        self.stars += other.stars

    def modules(self) -> set[str]:
        """Modules that the imports name; a name that is no module is one of its package's."""
        found = {module for targets in self.imports.values() for module, _ in targets} | set(self.stars)
        return found | {f"{m}.{n}".strip(".") for targets in self.imports.values() for m, n in targets if n}
