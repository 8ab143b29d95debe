"""``talka bench``: the workloads that the README's figures come from."""
