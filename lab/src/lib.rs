//! A real Kubernetes the Hard Way cluster on one Linux machine, without uplink.
