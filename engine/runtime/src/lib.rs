//! One core's world: disk, sockets, clock, timers, mailboxes, placement; backends uring, portable and sim.
