"""One file per gradient mode, and the front door `solve`.

Rooms: `adjoint` (the theorem and its linear solves), `certificate` (errors of gradients), `checks`
(modes beside finite differences).
"""
