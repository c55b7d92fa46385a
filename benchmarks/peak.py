"""The peak memory of this process; imports nothing, since imports are measured with it."""


def peak() -> float:
    """MB at most since the program began. Needs Linux's /proc.

    `resource.getrusage` begins with what the process that started this one had.
    """
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
