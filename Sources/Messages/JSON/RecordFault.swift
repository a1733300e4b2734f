/// Why a record from outside, or one element of it, was not understood; the reason of a dead letter.
package struct RecordFault: Error, Sendable, CustomStringConvertible {
    /// What was wrong; `field` says where.
    package enum Code: UInt8, Sendable, BitwiseCopyable {
        case emptyRecord, syntax, elementNotAnObject
        case missingField, notAString, notANumber, notAnInteger, notABool, notAnObject
        case halfCharacter, emptyName, nameTooLong, controlCharacter, unknownWord, outOfRange
        case notAMoment, implausibleTime, endBeforeStart
        case tagNotAString, tooManyTags, metricAndMetrics, tooManyMetrics
        case tooManyElements, tooManyFaults, unknownVersion
        case wire, noIdentity, deltaWithoutStart, deltaOfLevel
    }

    package var code: Code
    /// The field at fault, or empty.
    package var field: StaticString
    /// What the reader of JSON said, where `code` is `syntax`.
    package var json: JSONError?
    /// The bytes of the element at fault within the record.
    package var element: Range<Int>

    package init(_ code: Code, field: StaticString = "", json: JSONError? = nil, element: Range<Int> = 0..<0) {
        self.code = code
        self.field = field
        self.json = json
        self.element = element
    }

    /// One short lower-case sentence for people.
    package var reason: String {
        switch code {
        case .emptyRecord: "record is empty"
        case .syntax: json?.description ?? "not json"
        case .elementNotAnObject: "element is not an object"
        case .missingField: "missing field \"\(field)\""
        case .notAString: "\(field) is not a string"
        case .notANumber: "\(field) is not a finite number"
        case .notAnInteger: "\(field) is not a 64-bit integer"
        case .notABool: "\(field) is neither true nor false"
        case .notAnObject: "\(field) is not an object"
        case .halfCharacter: "\(field) holds an escape of half a character"
        case .emptyName: "\(field) is empty"
        case .nameTooLong: "\(field) is longer than \(TextScratch.nameBytesMax) bytes"
        case .controlCharacter: "\(field) holds a control character"
        case .unknownWord: "\(field) is not one of the known words"
        case .outOfRange: "\(field) is out of range"
        case .notAMoment: "timestamp is neither iso 8601 nor a number of seconds or milliseconds"
        case .implausibleTime: "timestamp is implausible"
        case .endBeforeStart: "end is not after start"
        case .tagNotAString: "a value in \(field) is not a string"
        case .tooManyTags: "\(field) has more than \(TagList.entriesMax) entries"
        case .metricAndMetrics: "fields \"metric\" and \"metrics\" exclude each other"
        case .tooManyMetrics: "metrics has more than \(TelemetryJSON.metricsMax) entries"
        case .tooManyElements: "record has more than \(JSONRecords.elementsMax) elements"
        case .tooManyFaults: "record has more than \(JSONRecords.faultsMax) faulty elements; the rest was not read"
        case .unknownVersion: "specversion is not 1.0"
        case .wire: "not protobuf"
        case .noIdentity: "no attribute names the resource"
        case .deltaWithoutStart: "a delta does not say when it began"
        case .deltaOfLevel: "a delta of what can fall has no level; export it as cumulative"
        }
    }

    package var description: String { reason }
}
