import Foundation
import Testing

/// The repository, checked against the tables in `Rules`. A failure lists every place, one a line.
@Suite struct Tidy {
    private func expectNone(_ found: [String]) {
        if !found.isEmpty { Issue.record("\(found.count) places:\n\(found.joined(separator: "\n"))") }
    }

    private func banned(_ bans: [Rules.Ban], in files: [SourceFile]) -> [String] {
        files.flatMap { file in
            file.code.indices.flatMap { index in
                bans.filter { !file.code[index].positions(ofWord: $0.word).isEmpty }
                    .filter { _ in !isExcused(file, index) }
                    .map { file.place(index, "'\($0.word)': write \($0.instead)") }
            }
        }
    }

    /// True where the line, or the one above, says why it cannot happen.
    private func isExcused(_ file: SourceFile, _ index: Int) -> Bool {
        file.lines[max(index - 1, 0)...index].contains { $0.contains("// unreachable:") }
    }

    @Test func aTargetImportsOnlyWhatTheDesignAllows() {
        var found: [String] = []
        for file in Repository.sources {
            guard let rule = Rules.imports.first(where: { $0.module == file.module }) else {
                found.append("\(file.path): target \(file.module) is not in Rules.imports")
                continue
            }
            for (line, name) in file.imports where !rule.allowed.contains(name) {
                found.append(file.place(line, "\(file.module) may not import \(name)"))
            }
        }
        expectNone(found)
    }

    @Test func aCModuleIsImportedByItsOwnWrapperOnly() {
        expectNone(
            Repository.files.flatMap { file in
                Rules.walls.filter { !($0.only + $0.only.map { $0 + "Tests" }).contains(file.module) }.flatMap { wall in
                    file.code.indices.filter { file.code[$0].hasPrefix("import \(wall.module)") }
                        .map { file.place($0, "only \(wall.only.joined(separator: ", ")) may import \(wall.module)") }
                }
            })
    }

    @Test func aPureTargetNeverSeesTheWorld() {
        expectNone(banned(Rules.pureWords, in: Repository.sources.filter { Rules.pure.contains($0.module) }))
    }

    @Test func aStageHasNoHashedContainers() {
        expectNone(banned(Rules.stageWords, in: Repository.sources.filter { Rules.stages.contains($0.module) }))
    }

    @Test func codeHasNoTraps() { expectNone(banned(Rules.codeWords, in: Repository.files)) }

    @Test func textHasNoPromises() {
        expectNone(
            Repository.files.filter { $0.module != "TidyTests" }.flatMap { file in
                file.lines.indices.flatMap { index in
                    let line = file.lines[index].lowercased()
                    return Rules.textWords.filter { !line.positions(ofWord: $0.word).isEmpty }
                        .map { file.place(index, "'\($0.word)': write \($0.instead)") }
                }
            })
    }

    @Test func linesAreShort() {
        expectNone(
            Repository.files.flatMap { file in
                file.lines.indices.filter {
                    file.lines[$0].utf8.count > Rules.lineCharactersMax
                        && file.lines[$0].count > Rules.lineCharactersMax
                }.map { file.place($0, "\(file.lines[$0].count) characters, \(Rules.lineCharactersMax) at most") }
            })
    }

    @Test func filesAreShort() {
        expectNone(
            Repository.files.filter { $0.lines.count > Rules.fileLinesMax + 1 }.map {
                "\($0.path): \($0.lines.count) lines, \(Rules.fileLinesMax) at most"
            })
    }

    @Test func functionsAreShort() {
        expectNone(
            Repository.files.flatMap { file in
                Declarations.functions(in: file).filter { $0.lineCount > Rules.functionLinesMax }.map {
                    file.place($0.firstLine, "\($0.name) has \($0.lineCount) lines, \(Rules.functionLinesMax) at most")
                }
            })
    }

    @Test func typesAndFunctionsThatOthersSeeAreDocumented() {
        let required = Repository.sources.reduce(into: Rules.requirements) {
            $0.formUnion(Declarations.requirements(in: $1))
        }
        expectNone(
            Repository.sources.flatMap { file in
                Declarations.undocumented(in: file, documentedElsewhere: required).map {
                    file.place($0, "no doc comment")
                }
            })
    }

    @Test func everyLibraryIsATestsDependency() throws {
        let package = try String(contentsOf: Repository.root.appendingPathComponent("Package.swift"), encoding: .utf8)
        let tests = package.components(separatedBy: "\n        tests(").dropFirst().joined()
        let outside = ["CRdKafka", "CZlib", "CZstd"]
        let executables = package.components(separatedBy: "\n        executable(\"").dropFirst()
            .map { $0.prefix { $0 != "\"" } }
        for folder in try Repository.folders(in: "Sources")
        where !outside.contains(folder) && !executables.contains(folder[...]) {
            #expect(tests.contains("\"\(folder)\""), "no test target depends on \(folder)")
        }
    }

    /// What is left out builds or not, depending on what the compiler gets to first.
    @Test func everyModuleThatIsImportedIsADependency() throws {
        let dependencies = try Repository.dependencies()
        let ours = Set(dependencies.map(\.target))
        expectNone(
            Repository.files.flatMap { file in
                let named = dependencies.first { $0.target == file.module }?.modules ?? []
                return file.imports.filter { ours.contains($0.module) && !named.contains($0.module) }
                    .map { file.place($0.line, "Package.swift does not name \($0.module) for \(file.module)") }
            })
    }

    @Test func theTopLevelHoldsWhatTheDesignSays() throws {
        let found = try Repository.folders(in: ".").filter { !$0.hasPrefix(".") }
        expectNone(found.filter { !(Rules.topLevel + Rules.ignoredTopLevel).contains($0) })
    }
}

@Suite struct TheLint {
    @Test func blanksCommentsAndStringsButNotInterpolations() {
        let cases = [
            ("a // b", "a     "), ("a /* b /* c */ d */ e", "a                   e"),
            (#"f("try!") + x"#, #"f("    ") + x"#), (#""a \(b("c")) d" e"#, #""   (b(" "))  " e"#),
            (##"#"a \(b) "c" \#(d)"# e"##, ##"#"             (d)"# e"##), (#""\"" x"#, #""  " x"#),
            ("\"\"\"\n a \" b\n\"\"\" c", "\"\"\"\n      \n\"\"\" c"), ("\"open\nnext", "\"    \nnext"),
        ]
        for (text, expected) in cases {
            #expect(String(decoding: Blanker.blank(Array(text.utf8)), as: UTF8.self) == expected, "\(text)")
        }
    }

    @Test func findsFunctionsAndTheirLength() {
        let text = """
            protocol P { func a() -> Int
              var b: Int { get }
            }
            struct S {
              init(x: () -> Void = {}) { self.init() }
              func c(
                d: Int
              ) -> Int {
                return 1
              }
            }
            """
        let found = Declarations.functions(in: SourceFile(path: "Sources/X/a.swift", bytes: Array(text.utf8)))
        #expect(found.map(\.name) == ["init", "c"])
        #expect(found.map(\.lineCount) == [1, 5])
        #expect(found.map(\.firstLine) == [4, 5])
    }

    @Test func findsWhatIsNotDocumented() {
        let text = """
            /// Documented.
            @frozen
            package struct A {
              package init() {}
              package var x: Int { 1 }
              @inlinable package func y() {}
            }
            package enum B {}
            """
        #expect(
            Declarations.undocumented(in: SourceFile(path: "Sources/X/a.swift", bytes: Array(text.utf8))) == [5, 7])
    }

    @Test func findsWholeWords() {
        #expect("asynchronous async".positions(ofWord: "async") == [13])
        #expect("OptionSet<A> Set<B>".positions(ofWord: "Set<") == [13])
        #expect("x.random(in:)".positions(ofWord: ".random") == [1])
        #expect("try!f()".positions(ofWord: "try!") == [0])
    }
}
