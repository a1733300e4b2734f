import ArgumentParser
import Topology

/// `twinscale topology`: the pipeline on one page.
package struct TopologyCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "topology",
        abstract: "Show every topic and which stage reads and writes it.",
        discussion: """
            The page is compiled into the program, so it is what the stages of this version really do. Needs no \
            broker. `--format mermaid` gives a flowchart that Markdown viewers draw, `--format json` is for programs.
            """)

    /// How the page is printed.
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case text, mermaid, json
    }

    @Option(help: "text, mermaid or json.")
    var format: Format = .text

    @Flag(help: "The same as --format json.")
    var json = false

    package init() {}

    package func run() {
        switch json ? .json : format {
        case .text: print(Topology.text, terminator: "")
        case .mermaid: print(Topology.mermaid, terminator: "")
        case .json: print(Topology.json)
        }
    }
}
