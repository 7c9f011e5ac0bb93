"""What touches the machine: files, devices, the environment, and how a command ends."""
