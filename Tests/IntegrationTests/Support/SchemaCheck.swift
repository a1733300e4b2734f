import Foundation
import Glibc

/// The files of `topics/schemas` in the hands of an independent implementation: Debian's python3-jsonschema.
struct SchemaCheck {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// Reads lines of a schema's name and a record in base 64; prints `ok` or what is wrong with it.
    private static let program = """
        import base64, json, os, sys
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import best_match

        def no(name):
            raise ValueError(name)

        def parse(text):
            try:
                return json.loads(text, parse_constant=no)
            except ValueError:
                lines = [line for line in text.splitlines() if line.strip()]
                if len(lines) < 2:
                    raise
                return [json.loads(line, parse_constant=no) for line in lines]

        validators = {}
        for line in open(sys.argv[2]):
            name, _, record = line.rstrip("\\n").partition(" ")
            if name not in validators:
                schema = json.load(open(os.path.join(sys.argv[1], "topics/schemas", name)))
                Draft202012Validator.check_schema(schema)
                validators[name] = Draft202012Validator(schema)
            try:
                error = best_match(validators[name].iter_errors(parse(base64.b64decode(record).decode())))
                words = "ok" if error is None else f"{error.json_path}: {error.message[:300]}"
            except (ValueError, RecursionError) as error:
                words = f"no JSON: {error}"
            print(words.replace("\\n", " "))
        """

    /// False where the package is not installed.
    static let isPossible: Bool = {
        guard let directory = try? TemporaryDirectory(),
            let process = try? ChildProcess(
                "/usr/bin/python3", ["-c", "import jsonschema"], log: "\(directory.path)/log")
        else { return false }
        return process.waitForExit(seconds: 60) && process.exitCode == 0
    }()

    /// What is wrong with each record; nil where it is what its schema says.
    static func faults(_ records: [(schema: String, value: [UInt8])]) throws -> [String?] {
        let directory = try TemporaryDirectory()
        let input = "\(directory.path)/records"
        let log = "\(directory.path)/log"
        let lines = records.map { "\($0.schema) \(Data($0.value).base64EncodedString())\n" }
        try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: input))
        let process = try ChildProcess("/usr/bin/python3", ["-c", program, root, input], log: log)
        let hasEnded = process.waitForExit(seconds: 240)
        let said = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(String.init)
        guard hasEnded, process.exitCode == 0, said.count == records.count else {
            throw Trouble("the validator has not done its work (\(process.ending)): \(said.suffix(10))")
        }
        return said.map { $0 == "ok" ? nil : $0 }
    }
}
