"""Building .venv: what is done when, with the doing replaced (the real thing runs before these tests do)."""

from __future__ import annotations

from pathlib import Path

import make_venv
import pytest


class Steps(list[str]):
    """What was done since the last look."""

    def taken(self) -> list[str]:
        steps = list(self)
        self.clear()
        return steps


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("pyproject.toml", "requirements/run.lock", "requirements/dev.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("first")
    place(monkeypatch, tmp_path)
    return tmp_path


def place(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr(make_venv, "ROOT", root)
    monkeypatch.setattr(make_venv, "VENV", root / ".venv")
    monkeypatch.setattr(make_venv, "PYTHON", root / ".venv" / "bin" / "python")
    monkeypatch.setattr(make_venv, "STAMP", root / ".venv" / ".built.json")


@pytest.fixture
def steps(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()

    def create(folder: Path, symlinks: bool) -> None:
        assert not folder.exists()
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()
        steps.append("create")

    monkeypatch.setattr(make_venv.venv, "create", create)
    monkeypatch.setattr(make_venv, "_put_pip_in", lambda: None)
    monkeypatch.setattr(make_venv, "_pip", lambda *words: steps.append(Path(words[-1]).name))
    return steps


def test_is_instant_when_it_is_there(checkout: Path, steps: Steps) -> None:
    make_venv.build("run")
    assert steps.taken() == ["create", "run.lock", checkout.name]
    make_venv.build("run")
    assert steps.taken() == []


def test_developers_tools_come_on_top_and_stay(checkout: Path, steps: Steps) -> None:
    make_venv.build("run")
    steps.clear()
    make_venv.build("dev")
    assert steps.taken() == ["dev.lock", checkout.name]
    make_venv.build("run")
    assert steps.taken() == []


@pytest.mark.parametrize("lock", ["run.lock", "dev.lock"])
def test_a_changed_lock_file_builds_it_anew(checkout: Path, steps: Steps, lock: str) -> None:
    make_venv.build("dev")
    steps.clear()
    (checkout / "requirements" / lock).write_text("second")
    make_venv.build("run")
    assert steps.taken() == ["create", "dev.lock", checkout.name]


def test_changed_metadata_installs_the_project_again(checkout: Path, steps: Steps) -> None:
    make_venv.build("run")
    steps.clear()
    (checkout / "pyproject.toml").write_text("second")
    make_venv.build("run")
    assert steps.taken() == [checkout.name]


def test_a_moved_checkout_builds_it_anew(
    checkout: Path, steps: Steps, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_venv.build("run")
    steps.clear()
    moved = tmp_path_factory.mktemp("elsewhere") / "clone"
    checkout.rename(moved)
    place(monkeypatch, moved)
    make_venv.build("run")
    assert steps.taken() == ["create", "run.lock", "clone"]


def test_what_was_interrupted_is_built_anew(checkout: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_words: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(make_venv, "_pip", fail)
        with pytest.raises(KeyboardInterrupt):
            make_venv.build("run")
    assert steps.taken() == ["create"]
    make_venv.build("run")
    assert steps.taken() == ["create", "run.lock", checkout.name]


def test_another_python_builds_it_anew(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    make_venv.build("run")
    steps.clear()
    other = (3, 11) if make_venv.sys.version_info[:2] != (3, 11) else (3, 12)
    monkeypatch.setattr(make_venv.sys, "version_info", (*other, 0))
    make_venv.build("run")
    assert steps.taken()[:2] == ["create", "run.lock"]


def test_too_old_a_python_is_refused(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_venv.sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"give one of 3\.11 to 3\.13"):
        make_venv.build("run")
    assert steps == []
