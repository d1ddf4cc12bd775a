"""The rooms of the library: what each may import stands in one table, and the drawing and CONTRIBUTING show it."""

import ast
from pathlib import Path

import pytest

from separations.book import house
from separations.files import PACKAGE
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
ROOMS = house.rooms(Book(ROOT))
BY_NAME = {room.name: room for room in ROOMS}


def test_every_room_stands_in_the_plan_and_every_room_of_the_plan_is_there():
    there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    there |= {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
    assert there == set(BY_NAME) and len(ROOMS) == len(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_room_imports_what_it_may_and_nothing_is_allowed_that_is_not_used(name):
    room = BY_NAME[name]
    for other, places in room.does.items():
        assert other in room.may, f"{name} may not import {other} ({places[0]}): see {house.PLAN}"
    assert set(room.may) == set(room.does)


def test_imports_run_one_way_and_science_never_imports_the_engine():
    assert max(house.floors(ROOMS).values()) >= 5
    towers = {room.name: room.tower for room in ROOMS}
    for room in ROOMS:
        reached = {towers[other] for other in room.does}
        allowed = {"ground": {"ground"}, "science": {"ground", "science"}, "engine": {"ground", "science", "engine"}}
        assert reached <= allowed[room.tower], room
    assert {other for room in ROOMS if room.tower == "engine" for other in room.does if towers[other] == "science"} == {
        "numerics"
    }
    circle = [house.Room("a", "science", "", ("b",), {"b": ()}), house.Room("b", "science", "", ("a",), {"a": ()})]
    with pytest.raises(ValueError, match="circle: a, b"):
        house.floors(circle)


def test_modules_of_a_room_do_not_import_one_another_in_a_circle():
    uses = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found = {t for node in ast.walk(ast.parse(path.read_text())) for t in house._targets(node, parts[:-1])}
        uses[module] = {t for t in found if (PACKAGE / (t.replace(".", "/") + ".py")).is_file()}
    left = {name: others for name, others in uses.items() if not (PACKAGE / name / "__init__.py").is_file()}
    while ready := [name for name, others in left.items() if not others & set(left)]:
        for name in ready:
            del left[name]
    assert not left, f"in a circle: {sorted(left)}"


@pytest.mark.parametrize("room", [room.name for room in ROOMS if (PACKAGE / room.name).is_dir()])
def test_a_package_has_a_face_with_one_sentence_and_the_names_that_it_gives(room):
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    said = ast.get_docstring(tree)
    assert said and "\n" not in said and said.endswith(".")
    lists = [
        node for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    names = ast.literal_eval(lists[0].value)
    module = __import__(f"separations.{room}", fromlist=names)
    assert all(hasattr(module, name) for name in names)
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


def test_contributing_shows_the_table_and_the_page_the_drawing_too():
    table = house.table(ROOMS)
    assert table in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), (
        f"write this into CONTRIBUTING.md:\n\n{table}"
    )
    page = house.page(Book(ROOT))
    assert table in page and page.count("<rect") == len(ROOMS)
    direct = sum(len(house._direct(room.name, ROOMS)) for room in ROOMS)
    assert page.count("<line") == direct <= sum(len(room.does) for room in ROOMS)


def test_an_import_is_read_in_every_form(tmp_path):
    for name, text in {
        "__init__": "from .a.one import X\n",
        "a/__init__": "from .one import X\n",
        "a/one": "from .. import b\nX = 1\n",
        "b": "import separations.c.two as two\nfrom separations import d\nfrom separations.e import y\nimport numpy\n",
        "c/__init__": "",
        "c/two": "from ..d import z\n",
        "d": "",
        "e": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    found = house.arrows(tmp_path)
    assert {room: sorted(others) for room, others in found.items() if others} == {
        "": ["a"], "a": ["b"], "b": ["c", "d", "e"], "c": ["d"],
    }  # fmt: skip
    assert found["c"] == {"d": ["c.two -> d"]}


def test_no_two_classes_share_a_name():
    names = [
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)


def test_former_import_paths_give_the_same_objects_and_hide_no_module():
    from separations.dit import DiT, DiTConfig
    from separations.product_mixtures import StudentMixture
    from separations.quality import image_quality, precision_recall

    from separations import distributions, former_paths, metrics, networks

    assert (DiT, DiTConfig) == (networks.DiT, networks.DiTConfig) and StudentMixture is distributions.StudentMixture
    assert (image_quality, precision_recall) == (metrics.image_quality, metrics.precision_recall)
    for old, (room, now) in former_paths.FORMER.items():
        assert not (PACKAGE / f"{old}.py").exists() and not (PACKAGE / old).exists()
        assert (PACKAGE / f"{now.replace('.', '/')}.py").is_file() and now.startswith(f"{room}.")
    with pytest.raises(ImportError):
        from separations.dit import no_such_name  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        import separations.no_such_module  # noqa: F401
    used = [path for path in PACKAGE.rglob("*.py") if path.stem not in ("former_paths", "__init__")]
    names = house.arrows(PACKAGE)
    assert (
        "former_paths" not in {room for others in names.values() for room in others if room != ""}
        or names[""]["former_paths"]
    )
    assert not any("former_paths" in path.read_text() for path in used)
