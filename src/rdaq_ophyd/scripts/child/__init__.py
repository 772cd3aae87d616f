"""What runs in a script's process: the script, and objects that stand in for the rig's devices. It opens no port."""
