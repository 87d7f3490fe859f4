"""The attempts of the security audit of commit 69e4700, each made against any checkout: it succeeds, or is refused and why.

`python -m support.audit --checkout DIR` makes them and prints a table. An attempt is the same for every checkout: real
processes, HTTP, the operator's own functions over the checkout's own simulated cluster. What has another name in another
checkout is in `glue`.
"""
