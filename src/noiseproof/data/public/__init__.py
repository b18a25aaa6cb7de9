"""Public data sets: torchvision, the Hugging Face hub, CIFAR-N, WebVision and others."""
