"""Speed of aniso and of its peers, and growth of its costs: ``python -m benchmarks``.

==================  ==============================================================================
`command`           the command: measures, writes JSON, the pictures and the tables
`groups`            what is measured, one module a group
`implementations`   functions that compute it: aniso and its peers
`race`              rounds in turns, one process an implementation
`worker`            the program in such a process, started by `processes`
`rows`              ours beside the best peer
`growth`            exponents of time and memory
`pictures`          drawings of the results
`tables`            the tables of docs/benchmarks.md
`machine`           where and when something was measured
==================  ==============================================================================
"""
