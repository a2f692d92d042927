//! FGSM, BIM, MIM and PGD on any classifier.
