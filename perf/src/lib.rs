//! How fast the system is as its clients see it: load harness, HDR histograms, compare.
