//! MNIST, Fashion-MNIST and CIFAR-10: readers, checksums, splits and prefetched batches.
