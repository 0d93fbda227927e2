"""Projects with drawn photos, for tests of the assistant."""

from dataclasses import replace

import numpy as np
from drawn import standard_photos
from PIL import Image

from ert.annotation.journal import Journal
from ert.annotation.project import Marked, Project

NAMES = tuple("abcdef")
# Enough for drawn photos.
QUICK = {"n_stages": 3, "n_trees": 20, "n_inits": 20, "n_pool_candidates": 0, "n_pixels": 60, "working_size": 60}


def draw_photos(folder, n, seed=0):
    """Write n photos and return their files and landmarks (n, 6, 2)."""
    images, shapes = standard_photos(n, np.random.default_rng(seed))
    files = [folder / f"photo{i:02d}.png" for i in range(n)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    return files, shapes


def open_project(folder, files):
    """Return a project of photos in which nothing is marked but what its journal holds, as `restart` does."""
    journal = Journal(folder / "annotations.annotate.jsonl")
    project = Project(files, NAMES, [], journal, names=[file.name for file in files])
    project.journal = journal
    return project


def restart(folder, project):
    """Return the same project as a server has it that is started again."""
    project.journal.close()
    again = open_project(folder, project.files)
    again._states = project.states()
    return again


def mark(project, i, landmarks, status="done"):
    """Save the landmarks of the objects of a photo."""
    state = project.photo(i)
    objects = tuple(Marked(np.asarray(one, float)) for one in landmarks)
    return project.change(i, state.revision, replace(state, status=status, objects=objects))
