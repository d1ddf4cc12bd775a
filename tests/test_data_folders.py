"""Folders of images: everything that can be read is, whatever is left out is named, labels are those of the set."""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from separations.data import images as data_images
from separations.data import load
from separations.data.sources import CIFAR10


@pytest.fixture(autouse=True)
def own_root(tmp_path, monkeypatch):
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("SEPARATIONS_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def picture(path: Path, level=0, size=9, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (level, 0, 0)).save(path, **options)
    return path


def silent(name: str, **options):
    """What is loaded without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(name, **options)


def levels(found) -> list[int]:
    """The red values, by which the pictures are told apart."""
    return ((found.x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


# --- links ------------------------------------------------------------------------------------------------------------


def test_linked_folders_and_files_are_read_like_others(tmp_path):
    for i, name in enumerate(("cat", "dog", "owl")):
        picture(tmp_path / "all" / name / "sub" / "1.png", 10 * i)
    subset = tmp_path / "subset"
    picture(subset / "cat" / "1.png", 0)
    (subset / "dog").mkdir()
    (subset / "dog" / "linked.png").symlink_to(tmp_path / "all" / "dog" / "sub" / "1.png")
    (subset / "owl").symlink_to(tmp_path / "all" / "owl")
    found = silent(f"folder:{subset}", size=9)
    assert sorted(zip(levels(found), found.labels.tolist())) == [(0, 0), (10, 1), (20, 2)]


def test_circles_of_links_end_and_no_folder_is_read_twice(tmp_path):
    folder = tmp_path / "mine"
    picture(folder / "b" / "1.png", 10), picture(folder / "c" / "2.png", 20)
    (folder / "a").symlink_to(folder / "b")  # first in order, and still only a link
    (folder / "c" / "up").symlink_to("..")
    (folder / "c" / "again.png").symlink_to("2.png")
    (folder / "c" / "self.png").symlink_to("self.png")
    (folder / "c" / "gone.png").symlink_to("nowhere.png")
    with pytest.warns(UserWarning) as said:
        found = load(f"folder:{folder}", size=9)
    assert sorted(zip(levels(found), found.labels.tolist())) == [(10, 0), (20, 1)]
    (text,) = (str(warning.message) for warning in said)
    assert "2 linking to folders that are read anyway (a, c/up)" in text and found.notes[0] in text
    assert "1 linking to images that are read anyway (c/again.png)" in text
    assert "2 linking nowhere (c/gone.png, c/self.png)" in text


def test_a_tower_of_double_links_takes_no_time(tmp_path):
    levels = [tmp_path / "tower" / str(i) for i in range(40)]
    for level, above in zip(levels, levels[1:]):
        above.mkdir(parents=True)
        level.mkdir(exist_ok=True, parents=True)
        (level / "left").symlink_to(above), (level / "right").symlink_to(above)
    picture(levels[-1] / "1.png")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "in").symlink_to(levels[0])
    with pytest.warns(UserWarning, match="39 linking to folders"):
        assert load(f"folder:{tmp_path / 'mine'}", size=9).n == 1


def test_two_links_to_one_image_outside_are_two_images_and_said(tmp_path):
    outside, folder = picture(tmp_path / "store" / "1.png", 7), tmp_path / "mine"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        (folder / name).symlink_to(outside)
    with pytest.warns(UserWarning, match=r"1 linking to the same images as others \(2\.png\): read again"):
        assert levels(load(f"folder:{folder}", size=9)) == [7, 7]


def test_the_order_is_that_of_the_names_whatever_the_file_system_gives(tmp_path, monkeypatch):
    for name in ("b/1.png", "B/2.png", "a/3.png", "é/4.png", "a/10.png"):
        picture(tmp_path / "mine" / name)
    parts, notes = data_images.find_images(tmp_path / "mine")
    true = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: reversed(list(true(path))))
    assert data_images.find_images(tmp_path / "mine") == (parts, notes)
    assert ["/".join(p) for p in parts] == ["B/2.png", "a/10.png", "a/3.png", "b/1.png", "é/4.png"] and notes == []


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    picture(tmp_path / "mine" / "1.png"), picture(tmp_path / "mine" / "locked" / "2.png")
    true = os.scandir

    def locked(path):
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return true(path)

    monkeypatch.setattr(os, "scandir", locked)
    closed = ["locked"]
    with pytest.warns(UserWarning, match=r"left out: 1 unreadable \(locked\)"):
        assert load(f"folder:{tmp_path / 'mine'}", size=9).n == 1
    closed = ["mine"]
    with pytest.raises(ValueError, match=r"mine cannot be read \(Permission denied\)"):
        load(f"folder:{tmp_path / 'mine'}", size=9)


# --- kinds of files ---------------------------------------------------------------------------------------------------

ENDINGS = (
    "avif bmp dib gif icns ico j2k jfif jp2 jpe jpeg jpg mpo msp pbm pcx pgm png pnm ppm qoi sgi tga tif tiff webp"
)


def test_every_ending_that_pillow_reads_is_read(tmp_path):
    written = []
    for ending in ENDINGS.split():
        path = tmp_path / "mine" / f"{ending}.{ending.upper() if ending == 'jfif' else ending}"
        path.parent.mkdir(exist_ok=True)
        try:
            Image.new("1" if ending in ("msp", "pbm") else "RGB", (16, 16)).save(path)
        except (OSError, KeyError):  # a codec that this Pillow was built without
            path.unlink(missing_ok=True)
            continue
        written.append(path.name)
    found = silent(f"folder:{tmp_path / 'mine'}", size=16)
    assert found.n == len(written) > 20
    readable = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    unread = {kind for end, kind in Image.registered_extensions().items() if end in readable - data_images.suffixes()}
    assert unread == set(data_images.NOT_OPENED) & set(Image.OPEN)


def test_what_runs_other_programs_is_not_opened_whatever_its_name(tmp_path):
    picture(tmp_path / "mine" / "1.png"), picture(tmp_path / "mine" / "2.eps"), picture(tmp_path / "mine" / "3.pdf")
    with pytest.warns(UserWarning, match=r"left out: 2 of other kinds \(2\.eps, 3\.pdf\)"):
        assert load(f"folder:{tmp_path / 'mine'}", size=9).n == 1
    (tmp_path / "mine" / "2.eps").rename(tmp_path / "mine" / "2.png")
    with pytest.raises(ValueError, match=r"2\.png is not an image that can be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load(f"folder:{tmp_path / 'mine'}", size=9)


def test_many_files_left_out_are_counted_and_the_first_named(tmp_path):
    picture(tmp_path / "mine" / "a.png")
    for i in range(7):
        (tmp_path / "mine" / f"{i}.heic").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"7 of other kinds \(0\.heic, 1\.heic, 2\.heic, \.\.\.\)"):
        load(f"folder:{tmp_path / 'mine'}", size=9)
    (tmp_path / "mine" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"has no image in it or below it \(left out: 7 of other kinds.*\.png"):
        load(f"folder:{tmp_path / 'mine'}", size=9)


def test_of_several_frames_the_first_is_read_and_that_is_said(tmp_path):
    first, second = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
    (tmp_path / "mine").mkdir()
    for name in ("a.gif", "b.tif", "c.png"):
        first.save(tmp_path / "mine" / name, save_all=True, append_images=[second])
    picture(tmp_path / "mine" / "d.png", 255)
    with pytest.warns(UserWarning, match=r"3 with more than one frame .*a\.gif.*: the first frame is read"):
        found = load(f"folder:{tmp_path / 'mine'}", size=9)
    assert levels(found) == [255] * 4


def test_names_with_brackets_and_odd_bytes(tmp_path):
    folder = tmp_path / "a [b] {c} *é"
    picture(folder / "[1].png")
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt"))).write_text("")
    with pytest.warns(UserWarning, match=r"1 of other kinds \(\\udcff\.txt\)"):
        assert load(f"folder:{folder}", size=9).n == 1


# --- one image --------------------------------------------------------------------------------------------------------


def exif(*entries, count=None, order="<") -> bytes:
    body = b"".join(struct.pack(f"{order}HHI", tag, kind, n) + value.ljust(4, b"\0") for tag, kind, n, value in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        f"{order}IH", 8, len(entries) if count is None else count
    )
    return b"Exif\0\0" + head + body + b"\0" * 4


SIDEWAYS = (0x0112, 3, 1, struct.pack("<H", 6))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "block",
    [
        exif(SIDEWAYS, (282, 7, 1, b"\x48")),  # a resolution that is no number
        exif((256, 7, 9, struct.pack("<I", 9999)), SIDEWAYS),  # an entry outside the block, before the one that counts
        exif((270, 2, 2**32 - 1, b""), SIDEWAYS),
        exif((256, 99, 1, b"x"), SIDEWAYS, count=500),  # a type that is none, more entries than there are
        exif(SIDEWAYS, (0x8769, 4, 1, struct.pack("<I", 99999))),
        exif((0x0112, 1, 1, b"\6")),  # a byte in place of a short
        exif((0x0112, 3, 1, struct.pack(">H", 6)), order=">"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*(EXIF|Truncated|Tag data)")
def test_damaged_entries_beside_the_orientation_do_no_harm(block, kind):
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (0, 0, 8, 8))  # the left half is white, which is the upper one once it is turned
    file = io.BytesIO()
    image.convert("RGB").save(file, kind, exif=block)
    found = data_images.read_image(file, 8)
    assert found[:3].min() > 200 and found[5:].max() < 50


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0XX*\0" + b"\xff" * 30, exif((0x0112, 3, 1, b"\x09"))])
def test_exif_without_an_orientation_leaves_the_image_as_it_is(block):
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, "PNG", exif=block)
    assert np.array_equal(data_images.read_image(file, 8), np.arange(192).reshape(8, 8, 3))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_all_orientations_agree_with_pillow(kind):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    for orientation in range(1, 9):
        entries, file = Image.Exif(), io.BytesIO()
        entries[0x0112] = orientation
        image.save(file, kind, exif=entries)
        upright = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        assert np.array_equal(data_images.read_image(file, 6), np.asarray(upright))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("CMYK", "TIFF"), ("YCbCr", "JPEG")],
)
def test_kinds_of_pixels_become_colours_on_white(mode, kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "white").convert(mode).save(file, kind)
    assert data_images.read_image(file, 8).min() >= 254


def test_a_palette_with_a_transparent_colour_is_set_on_white():
    image, file = Image.new("P", (8, 8), 1), io.BytesIO()
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(file, "PNG", transparency=1)
    assert (data_images.read_image(file, 8) == 255).all()


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused_by_name(mode, tmp_path):
    Image.new(mode, (8, 8)).save(tmp_path / "deep.tiff")
    with pytest.raises(ValueError, match=r"deep\.tiff has pixels of kind (I|F).*: 8 bits a channel are needed"):
        data_images.read_image(tmp_path / "deep.tiff", 8)


def test_bytes_behind_the_image_do_no_harm_and_missing_ones_do():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    whole = data_images.read_image(file, 64)
    assert np.array_equal(data_images.read_image(io.BytesIO(file.getvalue() + b"more" * 9), 64), whole)
    with pytest.raises(ValueError, match="a name is not an image that can be read"):
        data_images.read_image(io.BytesIO(file.getvalue()[:-50]), 64, name="a name")


# --- class folders of named sets --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*rows of the complete set")
def test_class_folders_have_the_labels_of_their_set_whichever_are_there(own_root):
    for name in ("truck", "cat", "dog"):
        picture(own_root / "cifar10" / "test" / name / "1.png", 10 * CIFAR10.index(name), 32)
    picture(own_root / "cifar10" / "train" / "7" / "1.png", 70, 32)
    for split in ("test", "train"):
        found = load("cifar10", split=split)
        assert [level // 10 for level in levels(found)] == found.labels.tolist()
    for number in ("1", "2", "10", "034", "102"):
        picture(own_root / "flowers102" / "val" / number / "a.png", int(number), 64)
    found = load("flowers102", split="val")
    assert [level - 1 for level in levels(found)] == found.labels.tolist() and found.n == 5


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("cifar10/train/frogs/1.png", "frogs is no class of CIFAR-10: folders named airplane, .*truck are needed"),
        ("cifar10/train/10/1.png", "10 is no class of CIFAR-10"),
        ("cifar10/train/1.png", r"1\.png lies in no class folder"),
        ("flowers102/train/0/1.png", "0 is no class of Oxford Flowers-102: folders named 1 to 102 are needed"),
        ("flowers102/train/103/1.png", "103 is no class"),
        ("flowers102/train/٣/1.png", "٣ is no class"),
        ("flowers102/train/rose/1.png", "rose is no class"),
    ],
)
def test_folders_outside_the_table_of_the_set_are_named(own_root, place, message):
    picture(own_root / place, 0, 32)
    with pytest.raises(ValueError, match=message):
        load(place.split("/")[0])


def test_sub_folders_without_an_image_have_no_label_which_is_said(tmp_path):
    picture(tmp_path / "all" / "a" / "1.png"), picture(tmp_path / "all" / "c" / "1.png", 3)
    for name in ("b", ".git"):
        (tmp_path / "all" / name).mkdir()
    with pytest.warns(UserWarning, match=r"no label for sub-folders, 1 without an image \(b\)") as said:
        found = load(f"folder:{tmp_path / 'all'}", size=9)
    assert dict(zip(levels(found), found.labels.tolist())) == {0: 0, 3: 1} and len(said) == 2


def test_a_subset_of_class_folders_is_said_and_can_be_meant(own_root):
    picture(own_root / "cifar10" / "train" / "cat" / "1.png", 0, 32)
    (own_root / "cifar10" / "train" / "cat" / "notes.txt").write_text("")
    with pytest.warns(UserWarning, match="1 of the 50000 rows of the complete set") as said:
        assert load("cifar10").n == 1
    assert any("left out: 1 of other kinds (cat/notes.txt)" in str(warning.message) for warning in said)
    (own_root / "cifar10" / "train" / "cat" / "notes.txt").unlink()
    found = silent("cifar10", partial=True)
    assert found.labels.tolist() == [3] and found.notes == ()
