//! The cluster image and the controller's decisions: placement, leaders, configs.
