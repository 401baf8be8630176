//! Carries out the log's effects: journal, segment files, aligned buffers, direct I/O, group commit, rest log, tails.
