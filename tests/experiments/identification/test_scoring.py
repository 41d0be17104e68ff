"""What is known of records before their model is fitted."""

from types import SimpleNamespace

import numpy as np

from experiments.identification.findings import ConstantInput
from experiments.identification.scoring import data_warnings


def warnings(*inputs):
    names = [str(i) for i in range(inputs[0].shape[1])]
    records = SimpleNamespace(training=[SimpleNamespace(u=u) for u in inputs])
    about = SimpleNamespace(inputs=names, warnings=[])
    return data_warnings(SimpleNamespace(records=records, data=about, setup=about))


def test_inputs_that_never_change_are_findings():
    both = np.stack([np.arange(4.0), np.full(4, 2.0)], axis=1)
    (finding,) = warnings(both)
    assert finding == ConstantInput("1", 2.0)
    assert finding.describe() == (
        "the input 1 is 2 throughout: the data cannot tell its effect from that of an offset"
    )
    # Constant in each of two records is a change between them.
    assert warnings(both, both + 1) == []
    assert warnings(np.zeros((4, 0))) == []
