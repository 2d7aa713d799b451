"""Motor cortex: preparation and movement of eight reaches, condition averages."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_jedi import JEDIEstimator


@pytest.fixture(scope="module")
def reaches(real_data):
    """Rates in Hz, epoch and direction of each trial: 16 x 40 bins x 141 neurons."""
    with np.load(real_data / "hatsopoulos2007.npz") as recording:
        rates, time = recording["rates"], recording["time_ms"]
    windows = [(-600, -200), (-150, 250)]
    epochs = [rates[:, (time >= start) & (time < stop)] for start, stop in windows]
    X = np.concatenate(epochs).astype(np.float64)
    return X, np.repeat([0, 1], 8), np.tile(np.arange(8), 2)


@pytest.fixture(scope="module")
def jedi():
    return JEDIEstimator(rank=20, embedding_dim=8, max_epochs=0)


def test_reaches_are_reproduced(reaches, jedi):
    X, _, _ = reaches
    assert X.shape == (16, 40, 141)
    jedi.fit(X)
    assert jedi.score(X) > 0.87
    # rates in Hz are not of unit scale
    assert (jedi.scale_ != 1).all()
    # the mean rate of the reconstruction, in Hz, is that of the recording
    np.testing.assert_allclose(jedi.reconstruct(X).mean(), X.mean(), rtol=0.05)


def test_preparation_and_movement_of_left_out_directions(reaches, jedi):
    """Every second direction, in turn; settings are those of the others, too."""
    X, epoch, direction = reaches
    pipe = make_pipeline(jedi, StandardScaler(), LogisticRegression())
    cv, groups = LeaveOneGroupOut(), direction % 2
    scores = cross_val_score(pipe, X, epoch, cv=cv, groups=groups, error_score="raise")
    assert len(scores) == 2
    # 15 of 16
    assert scores.mean() > 0.93
