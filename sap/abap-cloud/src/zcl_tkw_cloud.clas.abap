"! The access token of an alias, in ABAP Cloud. Reads the token from the table; renews it in a session of its own, under the
"! lock, with If-Match. Commits nothing in the caller's session.
CLASS zcl_tkw_cloud DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    "! @parameter alias | key of the row, and of the authority
    "! @parameter scenario | communication scenario of the token server
    "! @parameter service | its outbound HTTP service
    METHODS constructor
      IMPORTING
        alias    TYPE ztkw_c_token-client_alias
        scenario TYPE if_com_management=>ty_cscn_id
        service  TYPE if_com_management=>ty_cscn_outb_srv_id
      RAISING
        zcx_tkw_cloud.

    "! A token with time left; renewed if need be.
    METHODS get
      RETURNING
        VALUE(token) TYPE string
      RAISING
        zcx_tkw_cloud.

    "! Another token than the one an API refused, renewing only if nobody has yet.
    METHODS refused
      IMPORTING
        token       TYPE string
      RETURNING
        VALUE(next) TYPE string
      RAISING
        zcx_tkw_cloud.

  PROTECTED SECTION.
  PRIVATE SECTION.
    DATA:
      alias    TYPE ztkw_c_token-client_alias,
      scenario TYPE if_com_management=>ty_cscn_id,
      service  TYPE if_com_management=>ty_cscn_outb_srv_id.

    METHODS row
      RETURNING
        VALUE(row) TYPE ztkw_c_token.

    METHODS renew
      IMPORTING
        dead_generation TYPE ztkw_c_token-generation DEFAULT -1
      RETURNING
        VALUE(token)    TYPE string
      RAISING
        zcx_tkw_cloud.
ENDCLASS.


CLASS zcl_tkw_cloud IMPLEMENTATION.

  METHOD constructor.
    AUTHORITY-CHECK OBJECT 'ZTKW_TOKEN'
      ID 'ZTKW_ALIAS' FIELD alias
      ID 'ACTVT' FIELD '16'.
    IF sy-subrc <> 0.
      RAISE EXCEPTION NEW zcx_tkw_cloud( `DENIED` ).
    ENDIF.
    me->alias = alias.
    me->scenario = scenario.
    me->service = service.
  ENDMETHOD.

  METHOD get.
    DATA(now) = utclong_current( ).
    DATA(current) = row( ).
    IF current-access_token IS NOT INITIAL AND current-renew_at > now.
      token = current-access_token.
      RETURN.
    ENDIF.
    token = renew( ).
  ENDMETHOD.

  METHOD refused.
    DATA(current) = row( ).
    IF current-access_token IS NOT INITIAL AND current-access_token <> token.
      next = current-access_token.
      RETURN.
    ENDIF.
    next = renew( current-generation ).
  ENDMETHOD.

  METHOD row.
    SELECT SINGLE FROM ztkw_c_token FIELDS * WHERE client_alias = @alias INTO @DATA(found).
    IF sy-subrc = 0.
      row = found.
    ENDIF.
  ENDMETHOD.

  METHOD renew.
    " Another session: its commit is not the caller's.
    DATA(work) = NEW zcl_tkw_cloud_renewal( alias           = alias
                                            scenario        = scenario
                                            service         = service
                                            dead_generation = dead_generation ).
    DATA(parallel) = NEW cl_abap_parallel( p_num_tasks = 1 ).
    parallel->run_inst( EXPORTING p_in_tab  = VALUE #( ( work ) )
                        IMPORTING p_out_tab = DATA(done) ).
    DATA(current) = row( ).
    IF done IS INITIAL OR current-access_token IS INITIAL OR current-generation = dead_generation.
      RAISE EXCEPTION NEW zcx_tkw_cloud( `NO_TOKEN` ).
    ENDIF.
    token = current-access_token.
  ENDMETHOD.

ENDCLASS.
