"""`deliv slim` as a user runs it."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from deliverability.cli import main
from deliverability.core.mail.reader import read
from tests.slim_mails import image_part, newsletter, photo_jpeg, text_part


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    path = tmp_path / "news letter.eml"
    path.write_bytes(newsletter(attachments=[image_part(photo_jpeg(), "scan.jpg", "jpeg", disposition="attachment")]))
    return path


@pytest.fixture
def deliv(capsys: pytest.CaptureFixture[str]):
    """Runs deliv slim; gives exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["slim", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def test_without_output_nothing_is_written_and_the_saving_is_told(deliv, mail: Path) -> None:
    code, out, _ = deliv(mail)
    assert code == 0
    assert [path.name for path in mail.parent.iterdir()] == [mail.name]
    headline, *lines = out.splitlines()
    assert " MB → " in headline
    assert "; the two largest savings: photo.jpg (" in headline
    assert "    image recompressed, 1280 x 960 → 640 x 480 pixels" in lines
    assert any("unchanged: it is an attachment (" in line for line in lines)
    assert f"Nothing was written. To write the copy: deliv slim '{mail}' -o OUT.eml" in lines
    assert any(line.startswith("The copy omits") and "Sign the copy again" in line for line in lines)


def test_japanese(deliv, mail: Path) -> None:
    code, out, _ = deliv(mail, "--lang", "ja")
    assert code == 0
    assert "特に効果が大きい変更は次の2件です" in out
    assert "HTMLのコメントと不要な空白を削除" in out
    assert "署名し直してください" in out


def test_the_copy_is_written_whole_and_the_message_stays(deliv, mail: Path, tmp_path: Path) -> None:
    original = mail.read_bytes()
    copy = tmp_path / "out.eml"
    code, _, err = deliv(mail, "-o", copy)
    assert code == 0
    assert mail.read_bytes() == original
    assert len(copy.read_bytes()) < len(original)
    assert [part.path for part in read(copy.read_bytes()).parts()] == [part.path for part in read(original).parts()]
    assert err == f"Wrote {copy}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [mail.name, "out.eml"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o666 & ~mask


def test_json(deliv, mail: Path) -> None:
    code, out, _ = deliv(mail, "--format", "json")
    told = json.loads(out)
    assert code == 0
    assert told["before_octets"] == mail.stat().st_size
    assert told["written"] is None
    assert told["dropped_headers"] == [{"name": "DKIM-Signature", "count": 1}, {"name": "ARC-Seal", "count": 1}]
    assert {part["path"]: part["change"] or part["kept"] for part in told["parts"]} == {
        "1.1.1.2": "html",
        "1.1.2": "image",
        "1.2": "attached",
    }


def test_standard_input(deliv, mail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mail.read_bytes())))
    code, out, _ = deliv("-", "--only", "html")
    assert code == 0
    assert "; largest saving: text/html " in out


def test_attached_images_are_slimmed_where_asked_for(deliv, mail: Path) -> None:
    assert "scan.jpg (" in deliv(mail, "--attachments")[1].splitlines()[0]


def test_jpeg_quality(deliv, mail: Path) -> None:
    def after(*arguments: str) -> int:
        return int(json.loads(deliv(mail, "--format", "json", *arguments)[1])["after_octets"])

    assert after("--jpeg-quality", "30") < after()
    assert after("--jpeg-quality", "82") == after()
    for wrong in (["0"], ["96"], ["x"], ["50", "--only", "html"]):
        code, _, err = deliv(mail, "--jpeg-quality", *wrong)
        assert (code, "--jpeg-quality" in err) == (2, True)


def test_a_message_with_nothing_to_save(deliv, tmp_path: Path) -> None:
    plain = tmp_path / "plain.eml"
    plain.write_bytes(b"From: a@example.com\r\n" + text_part("Hello\n", "plain"))
    assert deliv(plain)[1].endswith("bytes: the message can't be made smaller without loss.\n")
    assert deliv(plain, "-o", tmp_path / "copy.eml")[0] == 0
    assert (tmp_path / "copy.eml").read_bytes() == plain.read_bytes()


def test_a_signed_message_says_why_it_stays(deliv, tmp_path: Path) -> None:
    signed = tmp_path / "signed.eml"
    head = b"From: a@example.com\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n"
    signed.write_bytes(head + b"--b\r\n\r\nx\r\n--b--\r\n")
    code, out, _ = deliv(signed)
    assert code == 0
    assert "unchanged because it is signed" in out


class TestRefusals:
    def test_an_existing_file_is_overwritten_only_by_force(self, deliv, mail: Path, tmp_path: Path) -> None:
        there = tmp_path / "there.eml"
        there.write_text("mine")
        code, _, err = deliv(mail, "-o", there)
        assert code == 2
        assert "--force" in err
        assert there.read_text() == "mine"
        assert deliv(mail, "-o", there, "--force")[0] == 0
        assert there.stat().st_size > 1000

    @pytest.mark.parametrize("link", [False, True])
    def test_the_message_itself_never(self, deliv, mail: Path, tmp_path: Path, link: bool) -> None:
        target = mail
        if link:
            target = tmp_path / "link.eml"
            target.symlink_to(mail)
        before = mail.read_bytes()
        code, _, err = deliv(mail, "-o", target, "--force")
        assert code == 2
        assert "which deliv never overwrites" in err
        assert mail.read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["missing.eml"], "no such file"),
            (["."], "is a folder"),
            ([], "MESSAGE.eml|- is missing"),
            (["x.eml", "--attachments", "--only", "html"], "use only one of these: --attachments, --only html"),
        ],
    )
    def test_wrong_use(self, deliv, arguments: list[str], says: str) -> None:
        code, _, err = deliv(*arguments)
        assert code == 2
        assert says in err

    def test_a_folder_that_is_not_there(self, deliv, mail: Path, tmp_path: Path) -> None:
        code, _, err = deliv(mail, "-o", tmp_path / "none" / "out.eml")
        assert code == 2
        assert "no such folder" in err


def test_a_hostile_name_cannot_steer_the_terminal(deliv, tmp_path: Path) -> None:
    path = tmp_path / "x.eml"
    path.write_bytes(newsletter([image_part(photo_jpeg(), "a\x1b[2J.jpg", "jpeg", cid="photo@example.com")]))
    code, out, _ = deliv(path)
    assert code == 0
    assert "\x1b" not in out
    assert "\\x1b[2J.jpg" in out
