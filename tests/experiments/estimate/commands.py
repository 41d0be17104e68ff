"""Arguments of commands that several tests give."""

LINEAR = [
    "estimator=linear",
    "estimator.A=[[0,1],[-9.81,0]]",
    "estimator.covariance=[1,4]",
    "estimator.R=[0.01]",
    "estimator.Qc=[[0.1]]",
]
RECORD = ["task=estimate", "input=observations", "input.path=r.csv", "dt=null", "duration=null"]
