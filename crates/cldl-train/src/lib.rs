//! One training loop, its objectives, Adam with coupled L2, checkpoints and resume.
