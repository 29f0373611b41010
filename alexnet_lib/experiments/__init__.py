"""Named experiments that write records, and what the records say of the paper."""

from __future__ import annotations

from .registry import EXPERIMENTS, Experiment, load, run, summary

__all__ = ["EXPERIMENTS", "Experiment", "load", "run", "summary"]
