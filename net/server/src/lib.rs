//! Listener, connection state machine, ordered responses, zero-copy send.
