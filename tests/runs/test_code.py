import subprocess

import pytest

from drift.runs.code import git_state, package_versions


@pytest.fixture
def checkout(tmp_path):
    """A git repository with a package in it."""

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path, git("rev-parse", "HEAD")


def test_a_clean_checkout_has_its_commit(checkout):
    path, commit = checkout
    assert git_state(path / "package") == {"commit": commit, "dirty": False}


@pytest.mark.parametrize("file", ["code.py", "new.py"])
def test_changed_and_new_files_make_it_dirty(checkout, file):
    path, commit = checkout
    (path / "package" / file).write_text("x = 2\n")
    assert git_state(path / "package") == {"commit": commit, "dirty": True}


def test_a_package_installed_inside_another_checkout_does_not_take_its_commit(checkout):
    path, _ = checkout
    installed = path / ".venv" / "site-packages" / "drift"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("x = 1\n")
    assert git_state(installed) == {"commit": None, "dirty": None}


def test_without_a_checkout_nothing_is_claimed(tmp_path):
    assert git_state(tmp_path) == {"commit": None, "dirty": None}


def test_versions_are_those_installed():
    import numpy

    import drift

    versions = package_versions()
    assert (versions["drift"], versions["numpy"]) == (drift.__version__, numpy.__version__)
