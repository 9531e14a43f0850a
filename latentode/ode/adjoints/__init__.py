"""The adjoints: how gradients reach the state, the times and the parameters, each with its own cost in time and memory.

Every adjoint is a ``torch.autograd.Function`` of the same arguments: a :class:`~latentode.ode.problem.SolverSetup`,
then the tensors that receive gradients. It returns the answers and the diagnostics of the solve.
"""
