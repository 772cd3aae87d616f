"""A file that is not what it must be is refused with its line and the reason; a good one is taken."""

from pathlib import Path

import pytest

from rdaq_ophyd.declaration import Declaration, commands, find, load, parse, shipped
from rdaq_ophyd.errors import DeclarationError, UnknownName

HEAD = """format = 1
[instrument]
name = "thing"
manufacturer = "A"
model = "B"
manual = "C"
"""


def refused(text: str) -> str:
    with pytest.raises(DeclarationError) as caught:
        parse(HEAD + text, "thing.toml")
    return str(caught.value)


def test_the_smallest_file_is_taken():
    declaration = parse(HEAD)
    assert (declaration.instrument.name, declaration.signal, declaration.sim) == ("thing", {}, None)
    assert declaration.link.command_end == "\n"


def test_shipped_files_are_right_and_named_after_their_instrument():
    assert {"keithley_2450", "lakeshore_336", "red_pitaya"} <= shipped().keys()
    for name, path in shipped().items():
        declaration = load(name)
        assert declaration.instrument.name == name == path.stem
        assert list(commands.unanswered(declaration)) == []
        assert declaration.instrument.run_against
        assert declaration.safe_state or any(group.safe_state for group in declaration.group.values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("format = 2\n[instrument]\n", "thing.toml:1: format 2 → this release reads `format = 1`"),
        ("# a comment\n\nformat = 1.0\n", "thing.toml:3: format 1.0"),
        ("format = true\n", "thing.toml:1: format True"),
        ("name = 1\n", "thing.toml:1: no format"),
        ("format = 1\nname = \n", "thing.toml:2: Invalid value"),
        ("format = 1\na = 1\na = 2\n", "thing.toml:3: Cannot overwrite a value"),
        ("format = 1\na = '''\nnever closed\n", "this is no TOML"),
        (
            "format = 1\n[instrument]\nname = 'x'\nmanufacturer = 'A'\nmodel = 'B'\n",
            "thing.toml:2: instrument.manual: Fi",
        ),
    ],
)
def test_what_is_no_such_file_at_all(text, complaint):
    with pytest.raises(DeclarationError) as caught:
        parse(text, "thing.toml")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("[signal.power]\nask = 'P?'\nunit = 'W'\n", 9, "signal.power.unit: unknown key 'unit'; did you mean 'units'?"),
        ("[signls.power]\n", 7, "signls: unknown key 'signls'; did you mean 'signal'?"),
        ("[signal.power]\nask = 'P?'\nzzzzzz = 1\n", 9, "known here: type, ask"),
        ("[signal.power]\n", 7, "signal.power: a signal needs 'ask', 'tell' or both"),
        ("[signal.power]\ntell = 'P {value}'\n", 7, "needs 'initial': what it shows until it was"),
        ("[signal.power]\nask = 1\n", 8, "signal.power.ask: Input should be a valid string"),
        ("[signal.power]\nask = 'P?'\ntype = 'flaot'\n", 9, "signal.power.type: Input should be 'float'"),
        ("[signal.power]\nask = 'P?'\nprecision = 1.5\n", 9, "signal.power.precision"),
        ("[signal.power]\nask = 'P?'\npoll = inf\n", 9, "signal.power.poll: Input should be a finite number"),
        ("[signal.power]\nask = 'P?'\npoll = 0\n", 9, "signal.power.poll: Input should be greater than 0"),
        ("[signal.power]\nask = 'P?'\nlimits = [2, 1]\n", 9, "signal.power.limits: the lower limit comes first"),
        ("[signal.power]\nask = 'P?'\nlimits = [\n  0,\n  nan,\n]\n", 11, "signal.power.limits"),
        ("[signal.power]\nask = 'P?'\nlimits = ['0', '1']\n", 9, "signal.power.limits"),
        ("[signal.power]\nask = 'P?'\nlimits = [0.0]\n", 9, "signal.power.limits: two numbers are needed, [lowest,"),
        ("[signal.power]\nask = 'P?'\nlimits = [0, 1, 2]\n", 9, "signal.power.limits: two numbers are needed, [lowest"),
        ("[signal.power]\nask = 'P?{channel}'\n", 8, "{channel} is unknown; known here: nothing"),
        ("[signal.power]\nask = 'P?{'\n", 8, "a brace as such is written twice"),
        ("[signal.power]\nask = 'P?'\ntell = 'P {value:d}'\n", 9, "{value:d}: Unknown format code 'd'"),
        ("[signal.power]\nask = 'P?'\ntell = 'P'\n", 9, "{value} is missing"),
        ("[signal.power]\nask = 'P?'\ntell = 'P {value.real}'\n", 9, "{value.real} is unknown"),
        ("[signal.power]\nask = 'P?'\ntell = 'P {value!r}'\n", 9, "'!r' is not understood"),
        ("[signal.power]\nask = 'P?'\ntell = 'P {value:{value}}'\n", 9, "may not have places of its own"),
        ("[signal.power]\nask = 'P?'\npattern = '(\\d+)'\n", 9, "lacks the group (?P<value>…)"),
        ("[signal.power]\nask = 'P?'\npattern = '(?P<value>'\n", 9, "no regular expression"),
        ("[signal.power]\nask = 'P?'\npattern = '(?P<value>.)'\nfield = 1\n", 10, "give either 'pattern' or 'field'"),
        ("[signal.power]\nask = 'P?'\nrestore = true\n", 9, "'restore' needs a 'tell'"),
        ("[signal.power]\nask = 'P?'\ninitial = 'x'\n", 9, "'x' is no value of this signal (float)"),
        ("[signal.read]\nask = 'P?'\n", 7, "'read' is what every device has already"),
        ("[signal.Power]\nask = 'P?'\n", 7, "'Power' is no name"),
        ("[signal.class]\nask = 'P?'\n", 7, "'class' is no name"),
        ("[signal.on]\ntype = 'bool'\nask = 'O?'\ntell = { true = 'ON' }\n", 10, "has the values true and false"),
        ("[signal.on]\ntype = 'bool'\nask = 'O?'\nlimits = [0, 1]\n", 10, "a bool has no limits"),
        ("[signal.m]\ntype = 'enum'\nask = 'M?'\n", 7, "an enum needs 'codes'"),
        ("[signal.m]\ntype = 'enum'\nask = 'M?'\ncodes = { a = '1', b = '1' }\n", 10, "'1' stands for 'a' already"),
        ("[signal.m]\ntype = 'enum'\nask = 'M?'\ncodes = { a = [] }\n", 10, "has no text"),
        ("[signal.p]\nask = 'M?'\ncodes = { a = '1' }\n", 9, "'codes' is for bool and enum"),
        ("[signal.p]\nask = 'M?'\ntell = { a = '1' }\n", 9, "one command for each value is for bool and enum"),
        ("[signal.m]\ntype='enum'\nask='M?'\ncodes={a='1'}\ntell={b='1'}\n", 11, "has values that 'codes' lacks"),
        ("[signal.m]\ntype='enum'\nask='M?'\ncodes={a='1'}\ntell='M{value}'\nsafe=['b']\n", 12, "'b' is no value"),
        ("[command.go]\ntell = 'GO {far}'\n", 8, "{far} is unknown"),
        (
            "[command.go]\ntell = 'GO {far}'\n[command.go.args.far]\nlimits = [1, 0]\n",
            10,
            "the lower limit comes first",
        ),
        ("[command.go]\ntell = 'GO'\npreempt = true\nreply = 'OK'\n", 7, "neither reply nor arguments"),
        ("[signal.go]\nask='G?'\n[command.go]\ntell = 'GO'\n", 9, "'go' is the name of something else already"),
        ("[identity]\nask = 'ID?'\npattern = '['\n", 9, "no regular expression"),
        ("[identity]\nask = 'ID?'\npattern = ''\nprepare = [\n'A',\n'{b}']\n", 12, "identity.prepare.1"),
        ("[errors]\nask = 'E?'\n", 7, "give either 'ok' and 'pattern', or 'bits'"),
        ("[errors]\nask = 'E?'\nok = '0'\n", 7, "'ok' needs a 'pattern'"),
        ("[errors]\nask = 'E?'\nok = '0'\npattern = '(?P<code>.)'\n", 10, "lacks the group (?P<message>…)"),
        ("[errors]\nask = 'E?'\nbits = { 3 = 'x' }\n", 9, "'3' is no bit"),
        ("[stop]\ntell = 'H'\npreempt = true\nreply = 'OK'\n", 7, "a command with a reply cannot preempt"),
        ("[stop]\ntell = 'H'\nask = 'M?'\n", 7, "'ask' and 'safe' belong together"),
        ("[safe_state]\ntell = []\n", 8, "safe_state.tell: List should have at least 1 item"),
        ("[safe_state]\ntell = ['A']\nask = 'x'\nsafe = '('\n", 10, "no regular expression"),
        (
            "[link]\nreply_length = 3\n[safe_state]\ntell = ['A']\nask = 'x'\nsafe = 'y'\n",
            11,
            "replies with an end mark",
        ),
        ("[link]\nreply_end = ''\n", 7, "a reply needs an end"),
        ("[link]\ncommand_end = 'é'\n", 8, "cannot be sent as ascii"),
        ("[link]\naddress = 'value'\n", 8, "cannot stand in braces"),
        ("[link]\nserial = { stopbits = 3 }\n", 8, "1, 1.5 or 2 stop bits"),
        ("[link]\nserial = { parity = 'Q' }\n", 8, "link.serial.parity"),
        ("[movable]\nsetpoint = 'a'\nreadback = 'b'\ntimeout = 1\n", 7, "a move needs an end"),
        ("[movable]\nsetpoint = 'a'\nreadback = 'b'\ntimeout = 1\ntolerance = 1\n", 8, "there is no signal 'a' here"),
        (
            "[signal.a]\nask='A?'\n[movable]\nsetpoint='a'\nreadback='a'\ntimeout=1\ntolerance=1\n",
            10,
            "cannot be written",
        ),
        ('[signal.p]\nask = "P?\\nO 1"\n', 8, "signal.p.ask: 'P?\\nO 1' has the control character '\\n'"),
        ('[signal.p]\nask = "P?"\ntell = "P {value}\\rO"\n', 9, "has the control character"),
        ('[signal.o]\ntype="bool"\nask="O?"\ntell = { true = "A\\n", false = "B" }\n', 10, "signal.o.tell.true: "),
        ('[signal.o]\ntype="bool"\nask="O?"\ntell="O{value}"\ncodes = { true = "1;A", false = "0" }\n', 11, "link.sep"),
        ('[signal.p]\nask = "PÖ?"\n', 8, "has 'Ö', which cannot be sent as ascii"),
        ('[signal.p]\nask = "P?"\nlimits = { low = "L\\t", high = "H" }\n', 9, "signal.p.limits.low: "),
        ('[link]\ncommand_end = "#"\n[command.go]\ntell = "A#B"\n', 10, "has '#', which ends a command"),
        ('[link]\ncontrols = "\\u0005"\n[command.go]\ntell = "\\u0005\\u001b"\n', 10, "character '\\x1b'"),
        ('[link]\nheartbeat = "A\\u0000"\n', 8, "link.heartbeat: "),
        ('[identity]\nask = "I?"\npattern = "."\nprepare = ["A",\n"B\\n"]\n', 11, "identity.prepare.1: "),
        ('[errors]\nask = "E\\n?"\nbits = { 1 = "x" }\n', 8, "errors.ask: "),
        ('[stop]\ntell = "S\\n"\n', 8, "stop.tell: "),
        ('[safe_state]\ntell = ["A", "B\\u0085"]\n', 8, "safe_state.tell.1: "),
        ('[group.x]\nchannels = { a = { i = "1\\n" } }\n', 8, "group.x.channels.a.i: "),
        ("[capabilities]\nwavelength = 'w'\n", 8, "there is no signal 'w' here; signals: none"),
        (
            "[signal.wavelength]\nask='F?'\ntell='F{value}'\nunits='THz'\n",
            7,
            "signal.wavelength: 'wavelength' is in THz; plans set the wavelength in nm",
        ),
        ("[signal.exposure]\nask='F?'\ntell='F{value}'\n", 7, "'exposure' is without units; plans set"),
        ("[signal.emission]\nask='F?'\ntell='F{value}'\n", 7, "'emission' is a float; plans set the emission as bool"),
        (
            "[signal.o]\ntype='bool'\nask='F?'\ntell='F{value:d}'\n[capabilities]\nwavelength = 'o'\n",
            12,
            "'o' is a bool; plans set the wavelength as float or int",
        ),
        (
            "[signal.emission]\ntype='bool'\ntell='F{value:d}'\ninitial=false\nrestore=true\n",
            11,
            "is the emission: what",
        ),
        (
            "[signal.w]\nask='W?'\ntell='W{value}'\nunits='nm'\nrestore=true\n[capabilities]\nwavelength='w'\n",
            11,
            "'w' is the wavelength: what moves, opens or emits is not written again",
        ),
        (
            "[signal.o]\ntype='bool'\nask='F?'\ntell='F{value:d}'\nsafe=[false]\nrestore=true\n",
            12,
            "signal.o.restore: what is not safe in each of its values",
        ),
        (
            "[signal.a]\nask='A?'\nunits='mm'\n[signal.b]\nask='B?'\ntell='B{value}'\nunits='um'\n"
            "[movable]\nsetpoint='b'\nreadback='a'\ntimeout=1\ntolerance=1\n",
            15,
            "'b' is in um and 'a' is in mm; setpoint and readback need the same units",
        ),
        ("[group.x]\nchannels = {}\n", 8, "group.x.channels"),
        ("[group.x]\nchannels = { 'a b' = {} }\n", 8, "channel 'a b' makes no name"),
        ("[group.x.channels]\na = { i = '1' }\nb = {}\n", 9, "channel 'b' lacks i"),
        ("[group.x]\nchannels = { a = {} }\n[group.x.signal.s]\nask = '{i}'\n", 10, "known here: {channel}"),
        ("[sim]\non = [{ answer = 'x' }]\n", 8, "sim.on.0.receive: Field required"),
        ("[[sim.on]]\nreceive = 'A'\nanswer = '{b}'\n", 9, "unknown name 'b'; known here: none"),
        (
            "[[sim.on]]\nreceive = 'A'\n[[sim.on]]\nreceive = 'B {x:number}'\n",
            10,
            "expected float, int, bool, text or A|B",
        ),
        ("[[sim.on]]\nreceive = 'B {x:int} {x:int}'\n", 8, "stands twice"),
        ("[[sim.on]]\nreceive = 'B'\nset = { b = 1 }\n", 9, "'b' is no part of the state"),
        ("[[sim.on]]\nreceive = 'B'\nerror = 'x'\n", 9, "describe it in [sim.errors]"),
        ("[sim.state]\na = 1\n[[sim.on]]\nreceive = 'B {a:int}'\n", 10, "{a} is a name of the state already"),
        ("[sim.state]\na = 1\n[[sim.on]]\nreceive = 'B'\nset = { a = '__import__(1)' }\n", 11, "may not stand"),
        ("[sim.state]\na = 1\n[[sim.on]]\nreceive = 'B'\ncheck = 'a >'\n", 11, "is no expression"),
        (
            "[sim.state]\nt = { a = 1 }\n[[sim.on]]\nreceive = 'B'\nset = { 't[b]' = 1 }\n",
            11,
            "neither a place in the text",
        ),
        (
            "[sim.state]\na = 'x'\n[[sim.ramp]]\nstate = 'a'\ntarget = '1'\nrate = '1'\n",
            10,
            "is no number of the state",
        ),
        ("[sim.derived]\na = 'b'\nb = '1'\n", 8, "unknown name 'b'"),
        ("[sim]\nscpi = true\n[[sim.on]]\nreceive = 'A(B)'\n", 10, "is no SCPI header"),
        ("[sim.errors]\nreceive = '{x'\nempty = '0'\n", 8, "a brace as such"),
    ],
)
def test_each_mistake_is_told_with_its_line(text, line, complaint):
    said = refused(text)
    assert said.startswith(f"thing.toml:{line}: "), said
    assert complaint in said


def test_control_characters_that_the_file_asks_for_are_taken():
    text = '[link]\ncommand_end = "\\r"\ncontrols = "\\u0005\\u001b"\n[signal.p]\nask = "\\u0005P"\n'
    assert parse(HEAD + text).signal["p"].ask == "\x05P"


def test_names_and_paths(tmp_path):
    assert find("keithley_2450") == shipped()["keithley_2450"]
    with pytest.raises(UnknownName, match="did you mean keithley_2450"):
        find("keithly_2450")
    with pytest.raises(UnknownName, match=r"no file nothing\.toml"):
        load("nothing.toml")
    path = tmp_path / "thing.toml"
    path.write_text(HEAD)
    assert isinstance(load(path), Declaration)
    assert isinstance(load(str(path)), Declaration)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "thing.toml"
    path.write_bytes(HEAD.encode() + b"# caf\xe9\n")
    with pytest.raises(DeclarationError, match=r"thing\.toml:7: is not UTF-8"):
        load(path)
    path.write_text("#" * (1 << 20 | 1))
    with pytest.raises(DeclarationError, match="1048577 bytes; 1048576 are allowed"):
        load(path)


def test_line_ends_of_windows_count_as_one(tmp_path):
    path = tmp_path / "thing.toml"
    path.write_bytes((HEAD + "[signal.p]\nasks = 'x'\n").replace("\n", "\r\n").encode())
    with pytest.raises(DeclarationError, match=r"thing\.toml:8: signal\.p\.asks: .* did you mean 'ask'"):
        load(path)


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000 + "]" * 5000])
def test_monstrous_values_are_refused_too(text):
    with pytest.raises(DeclarationError, match=r"thing\.toml:\d+: "):
        parse(HEAD + text, "thing.toml")


def test_the_starter_is_right_and_is_not_overwritten(tmp_path, capsys):
    assert commands.new("lamp", tmp_path) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'lamp.toml'}\n"
    declaration = load(tmp_path / "lamp.toml")
    assert declaration.instrument.name == "lamp"
    assert list(commands.unanswered(declaration)) == []
    with pytest.raises(DeclarationError, match="exists already"):
        commands.new("lamp", tmp_path)
    with pytest.raises(DeclarationError, match="is no name for an instrument"):
        commands.new("../lamp", tmp_path)
    with pytest.raises(DeclarationError, match="cannot be written"):
        commands.new("lamp", Path("/proc"))


def test_check_names_what_the_simulation_lacks(tmp_path, capsys):
    path = tmp_path / "thing.toml"
    path.write_text(HEAD + "[signal.power]\nask = 'P?'\n[sim]\n")
    assert commands.check(str(path)) == 0
    assert "the simulation does not understand 'P?' (power)" in capsys.readouterr().out
    path.write_text(HEAD)
    assert commands.check(str(path)) == 0
    assert "no [sim]" in capsys.readouterr().out
