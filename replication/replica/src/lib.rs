//! Leader and follower of one partition: in-sync set, high watermark, fetch as acknowledgement.
