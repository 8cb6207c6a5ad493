//! Development only: simulated clock, fakes, conformance suites of the seams.
