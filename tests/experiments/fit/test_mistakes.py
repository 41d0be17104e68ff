"""A mistake is one line on stderr, and leaves no directory behind."""

from pathlib import Path

import numpy as np
import pytest

from tests.experiments.fit.records import FIT, write_record


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (
            "fit.parameters.mas=positive",
            2,
            "fit.parameters: there is no 'mas'; did you mean 'mass'?",
        ),
        ("fit.parameters.mass=[2,3]", 2, "fit.parameters: mass: "),
        (
            "fit.parameters.mass=postive",
            2,
            "fit.parameters: mass: no kind 'postive'; did you mean 'positive'?",
        ),
        ("data.train=[{name:a,rows:[0,4]}]", 2, "samples for 4 parameters and 2 initial states"),
        ("data.train=[{name:a,rows:[0,400]}]", 2, "expected rows within the 240 of"),
        ("data.test=[{name:a,rows:[200,400]}]", 2, "expected rows within the 240 of"),
        ("data.test_path=no.csv data.test=[{name:a}]", 4, "data.path: no such file"),
        ("data.train=[]", 2, "data.train: expected at least one part"),
        ("data.train=[{nam:a}]", 2, "data.train[0].nam: unknown key; did you mean"),
        ("data.output=e", 4, "data.output: "),
        (
            "data.input=huge",
            4,
            "column 'huge' of training is 1e+200 in size, too large to square in float64; scale it",
        ),
        (
            "data.input=wee",
            4,
            "column 'wee' of training is 1e-200 in size, too small to square in float64; scale it",
        ),
        (
            "fit._target_=experiments.fit.options.fit_optons",
            2,
            "fit._target_: experiments.fit.options has no 'fit_optons'; did you mean "
            "'fit_options'?",
        ),
        ("data._target_=json.load", 2, "data._target_: 'json.load' is refused"),
        ("data.output=z", 2, "data.output: no column 'z' in"),
        ("data.output=[]", 2, "data.output: expected at least one column"),
        ("data.input=[u,v]", 2, "data.input: expected 1 column for duffing (force), got 2: u, v"),
        ("data.input=[]", 2, "data.input: expected 1 column for duffing (force), got 0"),
        ("data.input=e", 4, "an input cannot have gaps"),
        (
            "data.observed=[positon]",
            2,
            "data.observed: duffing has no quantity 'positon'; did you mean 'position'?",
        ),
        (
            "data.observed=[position,velocity]",
            2,
            "data.observed: expected one quantity for each of 1 columns",
        ),
        ("data.output=[y,v,u]", 2, "data.observed: expected one quantity for each of 3 columns"),
        (
            "data.time=null",
            2,
            "dt: expected the record's sample interval in s, because data.time is null",
        ),
        ("dt=0.2", 2, "dt: expected 0.1, the sample interval of"),
        ("dt=-0.1", 2, "dt: expected"),
        ("duration=5", 2, "duration: expected nothing for task=fit"),
        ("input=sine", 2, "input: expected none for task=fit, which takes model"),
        ("estimator=local_level", 2, "estimator: expected none for task=fit"),
        ("output.keep=[mean]", 2, "output.keep: expected null for task=fit"),
        ("fit.loss=hubber", 2, "fit.loss: expected one of squares, huber, student_t, got 'hubber'"),
        ("fit.states=frist", 2, "fit.states: expected one of free, fixed, first"),
        ("fit.states=first data.train=[{name:a,known:500}]", 2, "data: known: expected samples"),
        ("fit.starts=4 fit.segments=2", 2, "fit.segments: expected 1 where starts is more than 1"),
        ("fit.stages=[[mass],[cubc]]", 2, "fit.stages: there is no 'cubc'; did you mean 'cubic'?"),
        ("fit.stages=[[mass],[]]", 2, "fit.stages: expected lists of names, at least one in each"),
        ("fit.stages=[mass,cubic]", 2, "fit.stages[0]: expected a list, got 'mass'"),
        (
            "fit.stages=[[mass],[cubic]] fit.parameters.mass=fixed",
            2,
            "fit.stages: expected a first stage with a parameter to search, got mass, fixed or "
            "tied",
        ),
        (
            "fit.stages=[[mass]] fit.starts=4",
            2,
            "fit.stages: expected [] where starts is more than 1",
        ),
        (
            "fit.profile=[mas]",
            2,
            "fit.profile: no parameter 'mas' is searched; did you mean 'mass'?",
        ),
        ("fit.profile=mass", 2, "fit.profile: expected a list, got 'mass'"),
        (
            "fit.starts=4 fit.states=fixed",
            2,
            "fit.states: expected free where starts is more than 1",
        ),
        ("fit.steps=0", 2, "fit.steps: expected a whole number of at least 1"),
        (
            "model.params.mass=0.00001",
            2,
            "model.params: expected parameters with which the model stays finite",
        ),
        (
            "model=lorenz",
            2,
            "data.input: expected 0 columns for lorenz (it takes no input), got 1: u",
        ),
        ("data=recrod", 2, "data: unknown option 'recrod'; did you mean 'record'?"),
        ("data.pat=x", 2, "data.pat: unknown key; did you mean 'data.path'?"),
        ("fit.step=3", 2, "did you mean 'fit.steps'?"),
        ("data.path=no.csv", 4, "data.path: no such file: "),
        (
            "fit.parameter.mass=positive",
            2,
            "fit.parameter.mass: unknown key; did you mean 'fit.parameters'?",
        ),
        ("fit.tolerance=-1", 2, "fit.tolerance: expected a number of at least 0, got -1"),
        ("fit.width=0 fit.starts=2", 2, "fit.width: expected a number above 0, got 0"),
        (
            "fit.segments=500",
            2,
            "fit.segments: expected at most the 239 steps of the longest experiment, got 500",
        ),
        ("model.params.mass=0.00001 substeps=2", 2, "a run that diverges in steps of 0.05 s"),
        ("seed=4294967296", 2, "seed: expected a whole number below 2**32, got 4294967296"),
        ("data.output=[y,y]", 2, "data.output: expected each column once, got two of the name 'y'"),
        (
            "data.validation=[{rows:[0,50]}]",
            2,
            "data: expected each part once, got two of the name 'training'",
        ),
        (
            "data.train=[{name:a,known:-3}]",
            2,
            "data: a: expected known samples of at least 0, got -3",
        ),
        (
            "data.published={theirs:3}",
            2,
            "data.published: expected numbers by the name of a test, got theirs: 3",
        ),
        (
            "data.published={theirs:{a:b}}",
            2,
            "data.published: expected numbers by the name of a test, got theirs: {'a': 'b'}",
        ),
        ("data.path=null", 2, "data.path: this run needs a recorded file."),
        ("data.hold=zero", 2, "data.hold: expected one of zero_order, first_order"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(quick, argv, code, message):
    write_record(
        e=np.full(240, np.nan),
        huge=np.where(np.arange(240) == 3, 1e200, 0.0),
        wee=np.full(240, 1e-200),
    )
    got, found, output = quick(*FIT, "model=duffing", "data.path=r.csv", *argv.split())
    assert (got, found) == (code, None) and message in output, output
    assert output.startswith("scansim: ") and output.count("\n") <= 2 and not Path("out").exists()
