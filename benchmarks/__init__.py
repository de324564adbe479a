"""Speed of aniso and of its peers, and growth of its costs: ``python -m benchmarks``.

==================  ==============================================================================
`command`           the command: measures, writes JSON, the page, the pictures and README's table
`groups`            what is measured, one module a group
`implementations`   functions that compute it: aniso and its peers
`race`              rounds in turns, one process an implementation
`worker`            the program in such a process, started by `processes`
`rows`              ours beside the best peer
`growth`            exponents of time and memory
`page`              the report, with `pictures`
`readme`            the README's tables
`machine`           where and when something was measured
==================  ==============================================================================
"""
