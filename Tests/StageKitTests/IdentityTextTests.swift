import StageKit
import Testing

@Suite("The text of a tags entry")
struct IdentityTextTests {
    /// Class and tags as text; nil where the text is none.
    func read(_ text: String, namesMax: Int = 100) -> (className: String, tags: [String]?, refused: Int)? {
        let names = NameTable(namesMax: namesMax)
        return Array(text.utf8).withUnsafeBytes { bytes in
            guard let identity = IdentityText(bytes, names: names) else { return nil }
            let tags = identity.tags?.map { names.text(of: $0.key) + "=" + names.text(of: $0.value) }
            return (names.text(of: identity.className), tags, identity.refused)
        }
    }

    @Test("An empty tag, a number and a strange member leave the others as they are")
    func odd() throws {
        let text = #"{"class":"vm","x":[1],"tags":{"a":"1","empty":"","n":3,"\u0062":"z\n"}}"#
        let found = try #require(read(text))
        #expect(found.className == "vm" && found.refused == 0)
        #expect(found.tags == ["a=1", "b=z\n"])
    }

    @Test("Tags that are not said are no empty tags")
    func missing() throws {
        #expect(try #require(read("{}")).tags == nil)
        #expect(try #require(read(#"{"tags":{}}"#)).tags == [])
        #expect(read("[1]") == nil && read(#"{"class":"#) == nil)
    }

    @Test("Tags beyond the room are counted")
    func limits() throws {
        let many = (0..<70).map { "\"k\($0)\":\"v\"" }.joined(separator: ",")
        #expect(try #require(read("{\"tags\":{\(many)}}", namesMax: 1_000)).refused == 6)
        #expect(try #require(read(#"{"tags":{"a":"b","c":"d"}}"#, namesMax: 3)).refused == 1)
    }
}
