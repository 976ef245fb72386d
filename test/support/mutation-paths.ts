/**
 * Which code can change the world without writing it down: a reachability analysis of the sources with the TypeScript
 * compiler's own name resolution. From everything that runs by itself (the top level of every module, and what the command
 * calls of the service) it follows every mention of a function, whether it is called there or handed on, but not into what
 * is handed to a recorder; an edge that is reached so is changed without a block.
 *
 * A mention of a member of an interface stands for that member of every class and object that can be one.
 */
import { dirname, relative, resolve } from 'node:path';
import ts from 'typescript';

/** `src/ports/contracts.ts Switch.transact`, `src/platform/durable-file.ts replaceFile`; a file alone is its top level. */
type FunctionName = string;

export interface MutationRules {
  /** Functions that change the world. */
  readonly edges: ReadonlySet<FunctionName>;
  /** Functions that write down what is handed to them before they run it. */
  readonly recorders: ReadonlySet<FunctionName>;
  /** Names of members that are edges wherever they stand: of types that are made up on the way. */
  readonly edgeMembers?: ReadonlySet<string>;
  /** What runs by itself besides the top level of modules. */
  readonly roots: readonly FunctionName[];
}

export interface MutationReport {
  /** A way from what runs by itself to each edge that is reached without a recorder; one for each edge. */
  readonly unrecorded: readonly (readonly FunctionName[])[];
  /** Every function that there is: what the rules name and is not there is a mistake in the rules. */
  readonly functions: ReadonlySet<FunctionName>;
  /** Functions that mention this one, wherever they do. */
  mentionedBy(name: FunctionName): readonly FunctionName[];
  /** By file, what is imported of these modules, sorted. */
  importsOf(...modules: readonly string[]): ReadonlyMap<string, readonly string[]>;
}

const root = resolve(import.meta.dirname, '../..');

/** `changed`: texts of files that are other than on the disk, by path from the repository's root. */
export function analyseMutations(rules: MutationRules, changed: Readonly<Record<string, string>> = {}): MutationReport {
  return new Analysis(programOf(changed), rules).report();
}

/** The text of a source of this repository. */
export function sourceText(path: string): string {
  return ts.sys.readFile(resolve(root, path)) ?? '';
}

function programOf(changed: Readonly<Record<string, string>>): ts.Program {
  const configPath = resolve(root, 'tsconfig.json');
  const { config } = ts.readConfigFile(configPath, (path) => ts.sys.readFile(path)) as { config: unknown };
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, dirname(configPath));
  const host = ts.createCompilerHost(options);
  const readFile = host.readFile.bind(host);
  const texts = new Map(Object.entries(changed).map(([path, text]) => [resolve(root, path), text]));
  host.readFile = (path) => texts.get(resolve(path)) ?? readFile(path);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (path, language, ...rest) => {
    const text = texts.get(resolve(path));
    return text === undefined
      ? getSourceFile(path, language, ...rest)
      : ts.createSourceFile(path, text, language, true);
  };
  const sources = [...new Set([...fileNames, ...texts.keys()])].filter((path) => path.startsWith(resolve(root, 'src')));
  return ts.createProgram(sources, options, host);
}

class Analysis {
  readonly #checker: ts.TypeChecker;
  readonly #rules: MutationRules;
  readonly #sources: readonly ts.SourceFile[];
  /** What each function mentions outside of what it hands to recorders. */
  readonly #mentions = new Map<FunctionName, Set<FunctionName>>();
  /** The same, with what is handed to recorders. */
  readonly #everyMention = new Map<FunctionName, Set<FunctionName>>();
  /** Members of classes and objects that stand behind a member of an interface. */
  readonly #behind = new Map<FunctionName, Set<FunctionName>>();

  constructor(program: ts.Program, rules: MutationRules) {
    this.#checker = program.getTypeChecker();
    this.#rules = rules;
    this.#sources = program.getSourceFiles().filter((file) => pathOf(file).startsWith('src/'));
    for (const source of this.#sources) this.#visit(source, pathOf(source));
    this.#linkClasses();
  }

  report(): MutationReport {
    return {
      unrecorded: this.#search(),
      functions: new Set([...this.#mentions.keys(), ...this.#behind.keys()]),
      mentionedBy: (name) =>
        [...this.#everyMention].flatMap(([owner, named]) => (named.has(name) ? [owner] : [])).sort(),
      importsOf: (...modules) => this.#imports(modules),
    };
  }

  /** Breadth first, so that the way that is shown is a short one. */
  #search(): FunctionName[][] {
    const { edges, roots } = this.#rules;
    const start = [...this.#sources.map(pathOf), ...roots];
    const from = new Map<FunctionName, FunctionName | null>(start.map((name) => [name, null]));
    const queue = [...start];
    const found: FunctionName[][] = [];
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      if (edges.has(name) || name.startsWith('*.')) {
        found.push(wayTo(name, from));
        continue;
      }
      for (const next of [...(this.#mentions.get(name) ?? []), ...(this.#behind.get(name) ?? [])]) {
        if (from.has(next)) continue;
        from.set(next, name);
        queue.push(next);
      }
    }
    return found;
  }

  /** `owner`: the function whose doing this is. */
  #visit(node: ts.Node, owner: FunctionName, isRecorded = false): void {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isInterfaceDeclaration(node)) {
      // Named, so that a rule may name them.
      for (const member of node.members) this.#mentionsOf(this.#nameOfDeclaration(member) ?? owner);
      return;
    }
    if (ts.isTypeAliasDeclaration(node)) return;
    const own = this.#ownName(node) ?? owner;
    // Being declared is no deed: who only contains a function does not run it.
    this.#mentionsOf(own);
    if (ts.isCallExpression(node) && this.#isRecorder(node)) {
      this.#visit(node.expression, own, isRecorded);
      for (const argument of node.arguments) this.#visit(argument, own, isRecorded || isFunction(argument));
      return;
    }
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) this.#mention(node, own, isRecorded);
    ts.forEachChild(node, (child) => {
      this.#visit(child, own, isRecorded && own === owner);
    });
  }

  #isRecorder({ expression }: ts.CallExpression): boolean {
    const callee = ts.isPropertyAccessExpression(expression) ? expression.name : expression;
    return this.#namesOf(this.#checker.getSymbolAtLocation(callee)).some((name) => this.#rules.recorders.has(name));
  }

  #mention(node: ts.Identifier | ts.PrivateIdentifier, owner: FunctionName, isRecorded: boolean): void {
    const mentions = [setOf(this.#everyMention, owner), ...(isRecorded ? [] : [this.#mentionsOf(owner)])];
    if (this.#rules.edgeMembers?.has(node.text) === true) for (const set of mentions) set.add(`*.${node.text}`);
    const { parent } = node;
    const symbol = ts.isShorthandPropertyAssignment(parent)
      ? this.#checker.getShorthandAssignmentValueSymbol(parent)
      : this.#checker.getSymbolAtLocation(node);
    for (const name of this.#namesOf(symbol)) if (name !== owner) for (const set of mentions) set.add(name);
  }

  #namesOf(found: ts.Symbol | undefined): FunctionName[] {
    if (found === undefined) return [];
    const symbol = (found.flags & ts.SymbolFlags.Alias) === 0 ? found : this.#checker.getAliasedSymbol(found);
    return (symbol.declarations ?? []).flatMap((declaration) => this.#nameOfDeclaration(declaration) ?? []);
  }

  /** A function that is one by itself; what is nested in it is its own doing. */
  #ownName(node: ts.Node): FunctionName | null {
    if (isFunction(node)) return this.#nameOfExpression(node);
    if (ts.isClassDeclaration(node)) return this.#nameOfDeclaration(node);
    if (ts.isFunctionDeclaration(node) || ts.isConstructorDeclaration(node)) return this.#nameOfDeclaration(node);
    if (ts.isMethodDeclaration(node) || ts.isAccessor(node)) {
      return ts.isClassLike(node.parent) ? this.#nameOfDeclaration(node) : this.#nameInObject(node);
    }
    return null;
  }

  #nameOfExpression(node: ts.Node): FunctionName | null {
    const { parent } = node;
    if (ts.isVariableDeclaration(parent) && ts.isSourceFile(parent.parent.parent.parent)) {
      return this.#nameOfDeclaration(parent);
    }
    return ts.isPropertyAssignment(parent) ? this.#nameInObject(parent) : null;
  }

  /** A member of an object stands behind the member of the type that is expected of the object. */
  #nameInObject(node: ts.PropertyAssignment | ts.MethodDeclaration | ts.AccessorDeclaration): FunctionName | null {
    if (!ts.isObjectLiteralExpression(node.parent)) return null;
    const expected = this.#checker.getContextualType(node.parent)?.getProperty(node.name.getText());
    const [name] = this.#namesOf(expected);
    if (name === undefined) return null;
    const line = node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1;
    const own = `${pathOf(node.getSourceFile())}:${line} ${node.name.getText()}`;
    setOf(this.#behind, name).add(own);
    return own;
  }

  /** null for what is no function, and for what is declared elsewhere. */
  #nameOfDeclaration(node: ts.Declaration): FunctionName | null {
    const source = node.getSourceFile();
    const path = pathOf(source);
    if (!path.startsWith('src/')) return null;
    if (ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)) return `${path} ${node.name?.text ?? 'default'}`;
    if (ts.isVariableDeclaration(node)) return isFunction(node.initializer) ? `${path} ${node.name.getText()}` : null;
    if (ts.isConstructorDeclaration(node)) return this.#nameOfDeclaration(node.parent);
    if (!ts.isClassElement(node) && !ts.isTypeElement(node)) return null;
    const owner = node.parent;
    if (!ts.isClassDeclaration(owner) && !ts.isInterfaceDeclaration(owner)) return null;
    return `${path} ${owner.name?.text ?? 'default'}.${node.name?.getText() ?? 'new'}`;
  }

  /** Every class that may pass for an interface is taken for one, whether it says so or not. */
  #linkClasses(): void {
    const classes: ts.ClassDeclaration[] = [];
    const interfaces: ts.InterfaceDeclaration[] = [];
    for (const source of this.#sources) {
      for (const statement of source.statements) {
        if (ts.isClassDeclaration(statement)) classes.push(statement);
        if (ts.isInterfaceDeclaration(statement)) interfaces.push(statement);
      }
    }
    for (const contract of interfaces) {
      const wanted = this.#checker.getTypeAtLocation(contract);
      for (const candidate of classes) {
        const given = this.#checker.getTypeAtLocation(candidate);
        for (const member of contract.members) this.#linkMember(member, wanted, candidate, given);
      }
    }
  }

  /** Member by member, because a `Pick` of an interface is often all that is asked for. */
  #linkMember(member: ts.TypeElement, wanted: ts.Type, candidate: ts.ClassDeclaration, given: ts.Type): void {
    const key = member.name?.getText();
    const [asked, offered] = [wanted, given].map((type) => (key === undefined ? undefined : type.getProperty(key)));
    if (asked === undefined || offered === undefined) return;
    const [askedType, offeredType] = [asked, offered].map((symbol) =>
      this.#checker.getTypeOfSymbolAtLocation(symbol, candidate),
    );
    if (askedType === undefined || offeredType === undefined || askedType.getCallSignatures().length === 0) return;
    if (!this.#checker.isTypeAssignableTo(offeredType, askedType)) return;
    for (const name of this.#namesOf(asked)) {
      for (const real of this.#namesOf(offered)) setOf(this.#behind, name).add(real);
    }
  }

  #mentionsOf(name: FunctionName): Set<FunctionName> {
    return setOf(this.#mentions, name);
  }

  #imports(modules: readonly string[]): Map<string, readonly string[]> {
    const found = new Map<string, readonly string[]>();
    for (const source of this.#sources) {
      const names = source.statements.flatMap((statement) => {
        if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) return [];
        if (!modules.includes(statement.moduleSpecifier.text.replace(/^node:/, ''))) return [];
        const { importClause } = statement;
        if (importClause === undefined || importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return [];
        const { namedBindings } = importClause;
        if (namedBindings === undefined || !ts.isNamedImports(namedBindings)) return ['*'];
        return namedBindings.elements.flatMap(({ isTypeOnly, name, propertyName }) =>
          isTypeOnly ? [] : [(propertyName ?? name).text],
        );
      });
      if (names.length > 0) found.set(pathOf(source), names.sort());
    }
    return found;
  }
}

function wayTo(name: FunctionName, from: ReadonlyMap<FunctionName, FunctionName | null>): FunctionName[] {
  const way: FunctionName[] = [];
  for (let at: FunctionName | null = name; at !== null; at = from.get(at) ?? null) way.unshift(at);
  return way;
}

function isFunction(node: ts.Node | undefined): node is ts.ArrowFunction | ts.FunctionExpression {
  return node !== undefined && (ts.isArrowFunction(node) || ts.isFunctionExpression(node));
}

function pathOf(source: ts.SourceFile): string {
  return relative(root, source.fileName);
}

function setOf<K, V>(map: Map<K, Set<V>>, key: K): Set<V> {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = new Set<V>();
  map.set(key, made);
  return made;
}
